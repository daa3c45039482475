/** What is revoked: by the bundle in force, and by newer ones that could not be put in force. */
export type Revoked = { readonly identities: ReadonlySet<string>; readonly serials: ReadonlySet<string> };

const SERIAL_PREFIX = 'serial:';

/** A connection that can be cut at once. */
export type Cuttable = { readonly cut: () => void };

/**
 * Every live mTLS connection by the identities at its two ends and by its peer's certificate serial, so that a
 * revocation closes exactly the connections that it concerns, in time proportional to their number.
 */
export class ConnectionIndex {
  readonly #byName = new Map<string, Set<Cuttable>>();

  /** @param names SPIFFE IDs and `serial:<hex>` under which the connection is to be found */
  add(connection: Cuttable, names: readonly string[]): void {
    for (const name of names) {
      const known = this.#byName.get(name);
      if (known === undefined) this.#byName.set(name, new Set([connection]));
      else known.add(connection);
    }
  }

  remove(connection: Cuttable, names: readonly string[]): void {
    for (const name of names) {
      const known = this.#byName.get(name);
      known?.delete(connection);
      if (known?.size === 0) this.#byName.delete(name);
    }
  }

  /** Cuts every connection that has a revoked identity or serial at one of its ends; returns how many. */
  cut(revoked: Revoked): number {
    const names = [...revoked.identities, ...[...revoked.serials].map(serialName)];
    const doomed = new Set(names.flatMap(name => [...(this.#byName.get(name) ?? [])]));
    for (const connection of doomed) connection.cut();
    return doomed.size;
  }
}

/** @param names SPIFFE IDs and `serial:<hex>` */
export function isRevoked({ identities, serials }: Revoked, names: readonly string[]): boolean {
  return names.some(
    name =>
      identities.has(name) ||
      (name.startsWith(SERIAL_PREFIX) && serials.has(name.slice(SERIAL_PREFIX.length))),
  );
}

export function serialName(serial: string): string {
  return `${SERIAL_PREFIX}${serial}`;
}
