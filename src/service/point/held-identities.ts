import { randomInt } from 'node:crypto';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { createKeyRequest, EDGE_IDENTITY } from '#service/link';
import { checkCertificate, type CertificateName } from './check-certificate.ts';
import type { Identities, SvidKeyPair } from './point-host.ts';
import type { HeldIdentity } from './point-store.ts';

export type CertifyAnswer =
  | { readonly kind: 'issued'; readonly certificateChainPem: string }
  | { readonly kind: 'refused'; readonly reason: string };

export type HeldIdentitiesOptions = {
  readonly trustAnchors: readonly string[];
  readonly kept: Readonly<Record<string, HeldIdentity>>;
  /** Asks control; waits while it is not reached. */
  readonly certify: (name: string, requestPem: string) => Promise<CertifyAnswer>;
  readonly clock: Clock;
  readonly log: Log;
  /** After certificates came or went. */
  readonly changed: () => void;
};

/** What a bundle lets a point be: SPIFFE IDs, and the hosts of the edge when it is the gateway. */
export type WantedIdentities = {
  readonly identities: readonly string[];
  readonly edgeHosts: readonly string[] | undefined;
};

const MAX_AT_ONCE = 16;
const RETRY_MS = 2000;
/** Timers stand still while the machine sleeps. */
const LONGEST_TIMER_MS = 60_000;

/** The point's certificates with their keys, renewed when half of their time is over. */
export class HeldIdentities implements Identities {
  readonly #options: HeldIdentitiesOptions;
  readonly #held = new Map<string, HeldIdentity>();
  readonly #inFlight = new Map<string, Promise<boolean>>();
  #wanted = new Map<string, CertificateName>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: HeldIdentitiesOptions) {
    this.#options = options;
    for (const [name, identity] of Object.entries(options.kept)) this.#held.set(name, identity);
  }

  get trustAnchors(): readonly string[] {
    return this.#options.trustAnchors;
  }

  current(name: string): SvidKeyPair | undefined {
    const held = this.#held.get(name);
    if (held === undefined || held.notAfterMs <= this.#options.clock.nowMs()) return undefined;
    const { certificateChainPem, notAfterMs, privateKeyPem, serial } = held;
    return { certificateChainPem, notAfterMs, privateKeyPem, serial };
  }

  /** For the disk. */
  snapshot(): Record<string, HeldIdentity> {
    return Object.fromEntries(this.#held);
  }

  /** Of the first certificate to expire; 0 without any. */
  get firstNotAfterMs(): number {
    const times = [...this.#held.values()].map(({ notAfterMs }) => notAfterMs);
    return times.length === 0 ? 0 : Math.min(...times);
  }

  /**
   * Makes `wanted` what the point holds. Resolves once there is an answer for each name that has no valid certificate;
   * names that control refuses stay without one. Those that are merely due for renewal are renewed behind the scenes.
   */
  async hold(wanted: WantedIdentities): Promise<void> {
    const names = new Map<string, CertificateName>(
      wanted.identities.map(identity => [identity, { kind: 'identity', identity }]),
    );
    if (wanted.edgeHosts !== undefined) names.set(EDGE_IDENTITY, { kind: 'edge', hosts: wanted.edgeHosts });
    this.#wanted = names;
    for (const name of this.#held.keys()) if (!names.has(name)) this.#held.delete(name);
    await this.#obtainAll(
      [...names].filter(([name, what]) => !this.#isHeld(name, what)).map(([name]) => name),
    );
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #isHeld(name: string, what: CertificateName): boolean {
    if (this.current(name) === undefined) return false;
    return what.kind === 'identity' || this.#held.get(name)?.hosts.join() === what.hosts.join();
  }

  async #obtainAll(names: readonly string[]): Promise<void> {
    const queue = names.values();
    let obtained = false;
    const work = async () => {
      for (const name of queue) if (await this.#obtain(name)) obtained = true;
    };
    await Promise.all(Array.from({ length: Math.min(MAX_AT_ONCE, names.length) }, work));
    if (obtained && !this.#closed) this.#options.changed();
  }

  /** One request per name at a time. */
  #obtain(name: string): Promise<boolean> {
    const known = this.#inFlight.get(name);
    if (known !== undefined) return known;
    const request = this.#request(name).finally(() => this.#inFlight.delete(name));
    this.#inFlight.set(name, request);
    return request;
  }

  /** Whether there is a new certificate. */
  async #request(name: string): Promise<boolean> {
    const { certify, clock, log, trustAnchors } = this.#options;
    try {
      const { privateKeyPem, requestPem } = await createKeyRequest();
      const answer = await certify(name, requestPem);
      const what = this.#wanted.get(name);
      if (what === undefined || this.#closed) return false;
      if (answer.kind === 'refused') {
        log.warn('control refused a certificate', { name, reason: answer.reason });
        this.#postpone(name);
        return false;
      }
      const pair = checkCertificate({
        certificateChainPem: answer.certificateChainPem,
        privateKeyPem,
        trustAnchors,
        name: what,
      });
      const hosts = what.kind === 'edge' ? [...what.hosts] : [];
      this.#held.set(name, { ...pair, hosts, renewAtMs: renewalTime(clock.nowMs(), pair.notAfterMs) });
      return true;
    } catch (error) {
      log.error('a certificate was not renewed', { name, error: (error as Error).message });
      this.#postpone(name);
      return false;
    }
  }

  #postpone(name: string): void {
    const held = this.#held.get(name);
    if (held !== undefined)
      this.#held.set(name, { ...held, renewAtMs: this.#options.clock.nowMs() + RETRY_MS });
  }

  /** Names without a certificate are tried again too: control may have been unable, or a service be restored. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#closed || this.#wanted.size === 0) return;
    const nowMs = this.#options.clock.nowMs();
    const due = [...this.#wanted.keys()].map(name => this.#held.get(name)?.renewAtMs ?? nowMs + RETRY_MS);
    const waitMs = Math.min(Math.max(Math.min(...due) - nowMs, 50), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => void this.#renewDue(), waitMs);
  }

  async #renewDue(): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    const due = [...this.#wanted.keys()].filter(name => (this.#held.get(name)?.renewAtMs ?? 0) <= nowMs);
    await this.#obtainAll(due);
    this.#schedule();
  }
}

/** Within the last tenth before half of the time is over, so that a fleet that started together does not come together. */
export function renewalTime(nowMs: number, notAfterMs: number): number {
  const leftMs = Math.max(notAfterMs - nowMs, 0);
  return Math.floor(nowMs + (leftMs * randomInt(400, 501)) / 1000);
}
