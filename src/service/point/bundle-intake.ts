import type { KeyObject } from 'node:crypto';
import type { Clock } from '#base/clock';
import { quote } from '#base/error';
import type { Log } from '#base/log';
import type { Bundle } from '#domain/bundle';
import type { Envelope } from '#domain/dsse';
import { openBundle } from '#service/link';
import { Backoff } from './backoff.ts';
import type { HeldIdentities, WantedIdentities } from './held-identities.ts';
import type { PointHost } from './point-host.ts';

/** What is in force. */
export type InForce = { readonly version: number; readonly digest: string };

export type IntakeVerdict =
  | { readonly kind: 'applied'; readonly version: number; readonly digest: string; readonly tookMs: number }
  | { readonly kind: 'rejected'; readonly version: number; readonly fault: string; readonly message: string };

export type BundleIntakeOptions = {
  readonly name: string;
  readonly kind: 'gateway' | 'agent';
  readonly trustDomain: string;
  /** SPIFFE ID of the point itself. */
  readonly identity: string;
  readonly bundleKey: KeyObject;
  /** The last that was in force, in this run or before; version 0 when there was none. */
  readonly inForce: InForce;
  readonly identities: HeldIdentities;
  readonly host: PointHost;
  readonly keep: (envelope: Envelope, inForce: InForce) => Promise<void>;
  readonly report: (verdict: IntakeVerdict) => void;
  readonly clock: Clock;
  readonly log: Log;
};

type Checked =
  | { readonly kind: 'good'; readonly bundle: Bundle; readonly digest: string }
  | { readonly kind: 'bad'; readonly fault: string; readonly message: string };

type Task = {
  readonly envelope: Envelope;
  readonly bundle: Bundle;
  readonly digest: string;
  readonly sinceMs: number;
};

/** While another bundle is in force, the next one waits no longer than this for the certificates that it needs. */
const CERTIFICATES_WITHIN_MS = 3000;
const RETRY_FIRST_WAIT_MS = 1000;
const RETRY_MAX_WAIT_MS = 30_000;

/**
 * Takes bundles, refuses those that are not for this point, and puts the others in force one after another; of several
 * that wait, the last. One that the host could not put in force is tried again until another is wanted: what stood in
 * its way, such as a port that is taken, may go away.
 */
export class BundleIntake {
  readonly #options: BundleIntakeOptions;
  readonly #serving = Promise.withResolvers<void>();
  #inForce: InForce;
  #next: Task | undefined;
  #working: Promise<void> | undefined;
  #served = false;
  readonly #backoff = new Backoff(RETRY_FIRST_WAIT_MS, RETRY_MAX_WAIT_MS);
  #retry: NodeJS.Timeout | undefined;

  constructor(options: BundleIntakeOptions) {
    this.#options = options;
    this.#inForce = options.inForce;
  }

  /** What this process has put in force; version 0 until it has. */
  get inForce(): InForce {
    return this.#served ? this.#inForce : { version: 0, digest: '' };
  }

  /** Resolves once a bundle is in force. */
  get serving(): Promise<void> {
    return this.#serving.promise;
  }

  /**
   * Puts the bundle of the last run in force, without waiting for certificates: control may be down.
   *
   * @returns why not
   */
  async resume(envelope: Envelope): Promise<string | undefined> {
    const checked = this.#check(envelope);
    if (checked.kind === 'bad') return checked.message;
    const { bundle, digest } = checked;
    void this.#options.identities.hold(wantedBy(bundle, this.#options.identity));
    try {
      await this.#options.host.apply(bundle, this.#options.identities);
    } catch (error) {
      return (error as Error).message;
    }
    this.#putInForce({ version: bundle.version, digest });
    return undefined;
  }

  /** UNTRUSTED until its signature is verified: `version` is only what the refusal is reported under. */
  receive(envelope: Envelope, version: number): void {
    const sinceMs = this.#options.clock.monotonicMs();
    const checked = this.#check(envelope);
    if (checked.kind === 'bad') {
      const { fault, message } = checked;
      this.#options.log.error('a bundle was refused', { version, fault });
      this.#options.report({ kind: 'rejected', version, fault, message });
      return;
    }
    this.#backoff.reset();
    this.#take({ envelope, bundle: checked.bundle, digest: checked.digest, sinceMs });
  }

  /** Drops what waits, and resolves once nothing is being put in force. */
  async settle(): Promise<void> {
    this.#next = undefined;
    await this.#working;
    clearTimeout(this.#retry);
  }

  #take(task: Task): void {
    clearTimeout(this.#retry);
    this.#next = task;
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
  }

  #check(envelope: Envelope): Checked {
    const { bundleKey, kind, name, trustDomain } = this.#options;
    const opened = openBundle(envelope, bundleKey);
    if (opened.kind === 'refused') return { kind: 'bad', fault: opened.fault, message: opened.message };
    const { bundle, digest } = opened;
    if (bundle.point !== name || bundle.kind !== kind) {
      return {
        kind: 'bad',
        fault: 'wrong-point',
        message: `the bundle is for the ${bundle.kind} ${quote(bundle.point)}`,
      };
    }
    if (bundle.trustDomain !== trustDomain) {
      return {
        kind: 'bad',
        fault: 'wrong-trust-domain',
        message: `the bundle is of the trust domain ${quote(bundle.trustDomain)}`,
      };
    }
    const { version, digest: known } = this.#inForce;
    // A bundle that was good once may name callers that are revoked by now.
    if (bundle.version < version || (bundle.version === version && digest !== known)) {
      return {
        kind: 'bad',
        fault: 'older-version',
        message: `version ${bundle.version} does not follow version ${version}`,
      };
    }
    return { kind: 'good', bundle, digest };
  }

  async #work(): Promise<void> {
    for (let task = this.#next; task !== undefined; task = this.#next) {
      this.#next = undefined;
      const isApplied = await this.#apply(task);
      if (!isApplied && this.#next === undefined)
        this.#retry = setTimeout(() => this.#take(task), this.#backoff.nextMs());
    }
  }

  async #apply({ bundle, digest, envelope, sinceMs }: Task): Promise<boolean> {
    const { clock, host, identities, identity, keep, log, report } = this.#options;
    const { version } = bundle;
    try {
      const held = identities.hold(wantedBy(bundle, identity));
      // A bundle may revoke, and control may be gone by now: certificates that come later are used when they come.
      if (this.#served) await within(held, CERTIFICATES_WITHIN_MS);
      else await held;
      await host.apply(bundle, identities);
    } catch (error) {
      const { message } = error as Error;
      log.error('a bundle was not put in force', { version, error: message });
      report({ kind: 'rejected', version, fault: 'not-applied', message: message.slice(0, 1024) });
      return false;
    }
    this.#putInForce({ version, digest });
    try {
      await keep(envelope, this.#inForce);
    } catch (error) {
      // It is in force all the same; only a restart without control would not know of it.
      log.error('the bundle was not kept on disk', { version, error: (error as Error).message });
    }
    const tookMs = clock.monotonicMs() - sinceMs;
    log.info('bundle in force', { version, tookMs });
    report({ kind: 'applied', version, digest, tookMs });
    return true;
  }

  #putInForce(inForce: InForce): void {
    this.#inForce = inForce;
    this.#served = true;
    this.#serving.resolve();
  }
}

function wantedBy(bundle: Bundle, own: string): WantedIdentities {
  if (bundle.kind === 'gateway')
    return { identities: [own], edgeHosts: bundle.hosts.map(({ host }) => host) };
  const revoked = new Set(bundle.revoked.identities);
  const served = bundle.services.map(({ identity }) => identity).filter(identity => !revoked.has(identity));
  return { identities: [own, ...served], edgeHosts: undefined };
}

async function within(work: Promise<void>, timeoutMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  try {
    await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
