import type { KeyObject } from 'node:crypto';
import type { Clock } from '#base/clock';
import { quote } from '#base/error';
import type { Log } from '#base/log';
import type { Bundle, Revocations } from '#domain/bundle';
import type { Envelope } from '#domain/dsse';
import { openBundle, type BundleRef } from '#service/link';
import { Backoff } from './backoff.ts';
import type { HeldIdentities, WantedIdentities } from './held-identities.ts';
import type { PointHost } from './point-host.ts';
import type { KeptBundle } from './point-store.ts';

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
  /** The last that was in force before this run. */
  readonly former: BundleRef;
  readonly identities: HeldIdentities;
  readonly host: PointHost;
  /** Both resolve once it is on the disk. */
  readonly keepNewest: (envelope: Envelope) => Promise<void>;
  readonly keepApplied: (envelope: Envelope, applied: BundleRef) => Promise<void>;
  readonly report: (verdict: IntakeVerdict) => void;
  readonly clock: Clock;
  readonly log: Log;
};

type Good = {
  readonly kind: 'good';
  readonly envelope: Envelope;
  readonly bundle: Bundle;
  readonly ref: BundleRef;
};
type Bad = { readonly kind: 'bad'; readonly fault: string; readonly message: string };

type Task = Good & {
  readonly sinceMs: number;
  /** Of a former run: control may be away, so that it waits for nothing. */
  readonly isResumed: boolean;
};

/** While another bundle is in force, the next one waits no longer than this for the certificates that it needs. */
const CERTIFICATES_WITHIN_MS = 3000;
const RETRY_FIRST_WAIT_MS = 1000;
const RETRY_MAX_WAIT_MS = 30_000;
const MAX_MESSAGE_CHARS = 1024;
const NONE: BundleRef = { version: 0, digest: '' };
const NOTHING_REVOKED: Revocations = { identities: [], serials: [] };

/**
 * Takes bundles, refuses those that are not for this point, and puts the others in force one after another; of several
 * that wait, the last. One that the host could not put in force is tried again until another is wanted: what stood in
 * its way, such as a port that is taken, may go away.
 *
 * INVARIANT: a bundle is on the disk before anything is said of it, also when it is not put in force: what it revokes is
 * revoked after a restart, too.
 */
export class BundleIntake {
  readonly #options: BundleIntakeOptions;
  readonly #serving = Promise.withResolvers<void>();
  /** What this process has put in force. */
  #inForce: BundleRef = NONE;
  /** The same, once it is on the disk. */
  #acknowledged: BundleRef = NONE;
  /** Of all that control ever gave; no older one is taken. */
  #newest: { readonly ref: BundleRef; readonly envelope: Envelope | undefined };
  /** What acts by now. */
  #revoked: Revocations = NOTHING_REVOKED;
  #next: Task | undefined;
  #working: Promise<void> | undefined;
  readonly #backoff = new Backoff(RETRY_FIRST_WAIT_MS, RETRY_MAX_WAIT_MS);
  #retry: NodeJS.Timeout | undefined;

  constructor(options: BundleIntakeOptions) {
    this.#options = options;
    this.#newest = { ref: options.former, envelope: undefined };
  }

  /** What this process has put in force; version 0 until it has. */
  get inForce(): BundleRef {
    return this.#inForce;
  }

  /** In force and on the disk: what control may rely on. */
  get acknowledged(): BundleRef {
    return this.#acknowledged;
  }

  /** The newest that control ever gave, in force or not; without its envelope when that is lost. */
  get newest(): { readonly ref: BundleRef; readonly envelope: Envelope | undefined } {
    return this.#newest;
  }

  /** Resolves once a bundle is in force. */
  get serving(): Promise<void> {
    return this.#serving.promise;
  }

  /**
   * Puts what a former run left in force, without waiting for certificates: control may be down. The newest bundle
   * revokes from the first moment, also where only the one before it could be put in force.
   *
   * @returns why nothing of it may be used
   */
  async resume(kept: {
    readonly applied: KeptBundle;
    readonly newest: KeptBundle;
  }): Promise<string | undefined> {
    const { former } = this.#options;
    const applied = this.#reopen(kept.applied, former);
    const last = applied?.kind === 'good' ? applied : undefined;
    const newest = this.#reopen(kept.newest, last?.ref ?? former);
    // What it revoked nobody knows.
    if (newest?.kind === 'bad') return newest.message;
    if (newest === undefined && applied?.kind === 'bad') return applied.message;
    const wanted = newest ?? last;
    if (wanted === undefined) return undefined;
    this.#newest = wanted;
    if (last !== undefined) await this.#resumeWith(last, wanted);
    if (this.#inForce.version !== wanted.ref.version)
      this.#take({ ...wanted, isResumed: true, sinceMs: this.#options.clock.monotonicMs() });
    return undefined;
  }

  /** UNTRUSTED until its signature is verified: `version` is only what the refusal is reported under. */
  receive(envelope: Envelope, version: number): void {
    const sinceMs = this.#options.clock.monotonicMs();
    const checked = this.#check(envelope, this.#newest.ref);
    if (checked.kind === 'bad') {
      const { fault, message } = checked;
      this.#options.log.error('a bundle was refused', { version, fault });
      this.#options.report({ kind: 'rejected', version, fault, message });
      return;
    }
    this.#newest = checked;
    this.#backoff.reset();
    this.#take({ ...checked, isResumed: false, sinceMs });
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

  #reopen(kept: KeptBundle, oldest: BundleRef): Good | Bad | undefined {
    switch (kept.kind) {
      case 'none':
        return undefined;
      case 'damaged':
        return { kind: 'bad', fault: 'damaged', message: 'its file is damaged' };
      case 'kept':
        return this.#check(kept.envelope, oldest);
    }
  }

  /** @param oldest the version below which none is taken */
  #check(envelope: Envelope, oldest: BundleRef): Good | Bad {
    const { bundleKey, kind, name, trustDomain } = this.#options;
    const opened = openBundle(envelope, bundleKey);
    if (opened.kind === 'refused') return { kind: 'bad', fault: opened.fault, message: opened.message };
    const { bundle, digest } = opened;
    const { version } = bundle;
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
    // A bundle that was good once may name callers that are revoked by now.
    if (version < oldest.version || (version === oldest.version && digest !== oldest.digest)) {
      return {
        kind: 'bad',
        fault: 'older-version',
        message: `version ${version} does not follow version ${oldest.version}`,
      };
    }
    return { kind: 'good', envelope, bundle, ref: { version, digest } };
  }

  async #resumeWith({ bundle, ref }: Good, newest: Good): Promise<void> {
    const { host, identities, identity, log } = this.#options;
    const both = { ...bundle, revoked: join(bundle.revoked, newest.bundle.revoked) };
    void identities.hold(wantedBy(both, identity));
    try {
      await host.apply(both, identities);
    } catch (error) {
      return log.error('the bundle of the last run was not put in force', {
        version: ref.version,
        error: (error as Error).message,
      });
    }
    this.#putInForce(ref, both.revoked);
    this.#acknowledged = ref;
  }

  async #work(): Promise<void> {
    for (let task = this.#next; task !== undefined; task = this.#next) {
      this.#next = undefined;
      const verdict = await this.#apply(task);
      this.#options.report(verdict);
      if (verdict.kind === 'rejected' && this.#next === undefined)
        this.#retry = setTimeout(() => this.#take(task), this.#backoff.nextMs());
    }
  }

  async #apply(task: Task): Promise<IntakeVerdict> {
    const { clock, host, identities, keepApplied, keepNewest, log } = this.#options;
    const { bundle, envelope, ref, sinceMs } = task;
    const { version } = ref;
    // A revocation does not wait for the disk, and what is said of it does.
    const newestKept = faultOf(keepNewest(envelope));
    try {
      await this.#awaitCertificates(task);
      await host.apply(bundle, identities);
    } catch (error) {
      const { message } = error as Error;
      log.error('a bundle was not put in force', { version, error: message });
      const fault = await newestKept;
      return reject(
        version,
        'not-applied',
        fault === undefined ? message : `${message}; and ${notKept(fault)}`,
      );
    }
    this.#putInForce(ref, bundle.revoked);
    const fault = (await newestKept) ?? (await faultOf(keepApplied(envelope, ref)));
    if (fault !== undefined) {
      log.error('a bundle is in force and not on the disk', { version, error: fault.message });
      return reject(version, 'not-kept', `it is in force, but ${notKept(fault)}`);
    }
    this.#acknowledged = ref;
    const tookMs = clock.monotonicMs() - sinceMs;
    log.info('bundle in force', { version, tookMs });
    return { kind: 'applied', ...ref, tookMs };
  }

  async #awaitCertificates({ bundle, isResumed }: Task): Promise<void> {
    const { identities, identity } = this.#options;
    const held = identities.hold(wantedBy(bundle, identity));
    // Certificates that come later are used when they come.
    if (isResumed || revokesMore(bundle.revoked, this.#revoked)) return;
    if (this.#inForce.version === 0) await held;
    else await within(held, CERTIFICATES_WITHIN_MS);
  }

  #putInForce(inForce: BundleRef, revoked: Revocations): void {
    this.#inForce = inForce;
    this.#revoked = revoked;
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

function revokesMore(next: Revocations, now: Revocations): boolean {
  const identities = new Set(now.identities);
  const serials = new Set(now.serials);
  return next.identities.some(id => !identities.has(id)) || next.serials.some(serial => !serials.has(serial));
}

function join(a: Revocations, b: Revocations): Revocations {
  return {
    identities: [...new Set([...a.identities, ...b.identities])],
    serials: [...new Set([...a.serials, ...b.serials])],
  };
}

function reject(version: number, fault: string, message: string): IntakeVerdict {
  return { kind: 'rejected', version, fault, message: message.slice(0, MAX_MESSAGE_CHARS) };
}

function notKept(fault: Error): string {
  return `it is not on the disk of the point, which would forget it in a restart: ${fault.message}`;
}

function faultOf(work: Promise<void>): Promise<Error | undefined> {
  return work.then(
    () => undefined,
    (error: Error) => error,
  );
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
