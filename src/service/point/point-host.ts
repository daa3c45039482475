import type { Bundle } from '#domain/bundle';

/** What enforces: the gateway or the agent of a process. `startPoint` drives it. */
export interface PointHost {
  /**
   * Puts `bundle` in force. Resolves once it is what decides, with the listeners that it names open and the
   * connections of the newly revoked closed; only then is the bundle acknowledged. Calls never overlap.
   *
   * A rejection leaves the former bundle in force, but for what the new one revokes; control is told the message.
   */
  apply(bundle: Bundle, identities: Identities): Promise<void>;
  /** One of `identities` was renewed: new handshakes are to use it, open connections stay. */
  identitiesChanged?(): void;
}

/** The certificates that a point holds at this moment; live, so that a host asks again after `identitiesChanged`. */
export interface Identities {
  /**
   * @param name a SPIFFE ID that the bundle lets this point serve, or `EDGE_IDENTITY`
   * @returns `undefined` when there is none that is valid now: no handshake may be made under that name
   */
  current(name: string): SvidKeyPair | undefined;
  /** PEM certificates of the trust domain's roots. */
  readonly trustAnchors: readonly string[];
}

export type SvidKeyPair = {
  /** Leaf first, then intermediates, without the root. */
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly notAfterMs: number;
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
};
