import type { Clock } from '#base/clock';
import { assertNever } from '#base/error';
import type { Log } from '#base/log';
import type { Journal } from '#service/ledger';
import {
  decodeBundleKey,
  PROTOCOL,
  type BundleRef,
  type ControlMessage,
  type PointMessage,
} from '#service/link';
import { Backoff } from './backoff.ts';
import { BundleIntake, type IntakeVerdict } from './bundle-intake.ts';
import { connectControl, trustDomainOf } from './connect-control.ts';
import { ControlLink } from './control-link.ts';
import { enrol, type Enrolment } from './enrol.ts';
import { HeldIdentities, renewalTime, type CertifyAnswer } from './held-identities.ts';
import type { PointConfig } from './point-config.ts';
import { PointError } from './point-error.ts';
import type { PointHost } from './point-host.ts';
import { PointStore, type KeptState, type WriteFile } from './point-store.ts';
import { RecordShipper } from './record-shipper.ts';

export type PointOptions = {
  readonly config: PointConfig;
  readonly journal: Journal;
  readonly host: PointHost;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the waiting for a control that does not answer an enrolment. */
  readonly signal?: AbortSignal;
  /**
   * Called once when the point's own identity ran out while control was away: it has to be started with a new join
   * token. Whatever it serves refuses by then, for its other identities ran out too.
   */
  readonly onLost?: () => void;
  /** Without a sign of life for so long, the stream is made again. Default 15 s. */
  readonly silenceMs?: number;
  /** How files of the state directory are written; tests let it fail. */
  readonly writeFile?: WriteFile;
};

/** A running point. */
export interface Point {
  readonly kind: 'gateway' | 'agent';
  /** SPIFFE ID of the point itself. */
  readonly identity: string;
  /** 0 until a bundle is in force. */
  readonly appliedVersion: number;
  readonly isConnected: boolean;
  /** Resolves once a bundle is in force. */
  readonly serving: Promise<void>;
  /** Ends the stream; what the host serves is for the host to end. */
  close(): Promise<void>;
}

const ENROL_FIRST_WAIT_MS = 200;
const ENROL_MAX_WAIT_MS = 5000;
const SILENCE_MS = 15_000;

/**
 * Starts an enforcement point: resolves once it has an identity, and the last good bundle of a former run is in force
 * if there is one. From then on it follows control by itself.
 *
 * @throws {PointError} `enrolment-refused`, `bad-trust-anchors` or `closed`
 * @throws {SealedError} when the point's key file is open to others
 */
export async function startPoint(options: PointOptions): Promise<Point> {
  const store = await PointStore.open(options.config, options.log, options.writeFile);
  const state = (await loadUsable(options, store)) ?? (await enrolAnew(options, store));
  const point = new RunningPoint(options, store, state);
  await point.start();
  return point;
}

async function loadUsable(
  { clock, config, log }: PointOptions,
  store: PointStore,
): Promise<KeptState | undefined> {
  trustDomainOf(config);
  const state = await store.load();
  if (state === undefined) return undefined;
  if ((state.identities[state.identity]?.notAfterMs ?? 0) > clock.nowMs()) return state;
  log.info('the kept identity is past its time; the point enrols anew');
  return undefined;
}

async function enrolAnew(options: PointOptions, store: PointStore): Promise<KeptState> {
  const { bundleKey, identity, kind, pair, trustDomain } = await enrolWithPatience(options);
  const former = await store.load();
  const goesOn = former?.bundleKey === bundleKey;
  if (!goesOn) await store.dropBundles();
  const state: KeptState = {
    name: options.config.name,
    kind,
    trustDomain,
    identity,
    bundleKey,
    anchors: store.anchors,
    // Another key makes other versions; under the same one, an older version stays refused.
    appliedVersion: goesOn ? former.appliedVersion : 0,
    appliedDigest: goesOn ? former.appliedDigest : '',
    identities: {
      [identity]: { ...pair, hosts: [], renewAtMs: renewalTime(options.clock.nowMs(), pair.notAfterMs) },
    },
  };
  await store.save(state);
  return state;
}

async function enrolWithPatience({ clock, config, log, signal }: PointOptions): Promise<Enrolment> {
  const backoff = new Backoff(ENROL_FIRST_WAIT_MS, ENROL_MAX_WAIT_MS);
  for (;;) {
    if (signal?.aborted === true)
      throw new PointError('closed', 'the point was stopped before it was enrolled');
    try {
      return await enrol(config, clock);
    } catch (error) {
      if (!(error instanceof PointError) || error.code !== 'unreachable') throw error;
      log.warn('control is not reached; the point waits to enrol', { error: error.message });
    }
    await sleep(backoff.nextMs(), signal);
  }
}

class RunningPoint implements Point {
  readonly kind: 'gateway' | 'agent';
  readonly identity: string;
  readonly #options: PointOptions;
  readonly #store: PointStore;
  readonly #identities: HeldIdentities;
  readonly #intake: BundleIntake;
  readonly #link: ControlLink;
  readonly #shipper: RecordShipper;
  readonly #requests = new Map<
    number,
    { readonly message: PointMessage; readonly answer: (answer: CertifyAnswer) => void }
  >();
  #state: KeptState;
  #lastRequest = 0;
  #lost = false;
  #closed = false;

  constructor(options: PointOptions, store: PointStore, state: KeptState) {
    const { clock, config, host, journal, log } = options;
    const bundleKey = decodeBundleKey(state.bundleKey);
    if (bundleKey === undefined) throw new TypeError('a kept bundle key is checked when it is pinned');
    this.#options = options;
    this.#store = store;
    this.#state = state;
    this.kind = state.kind;
    this.identity = state.identity;
    this.#identities = new HeldIdentities({
      trustAnchors: config.trustAnchors,
      kept: state.identities,
      certify: (name, requestPem) => this.#certify(name, requestPem),
      clock,
      log,
      changed: () => this.#identitiesChanged(),
    });
    this.#intake = new BundleIntake({
      name: config.name,
      kind: state.kind,
      trustDomain: state.trustDomain,
      identity: state.identity,
      bundleKey,
      former: { version: state.appliedVersion, digest: state.appliedDigest },
      identities: this.#identities,
      host,
      keepNewest: envelope => store.saveNewest(envelope),
      keepApplied: async (envelope, applied) => {
        await store.saveBundle(envelope);
        await this.#save(applied);
      },
      report: verdict => this.#report(verdict),
      clock,
      log,
    });
    this.#link = new ControlLink({
      connect: () => this.#connect(),
      hello: () => this.#hello(),
      up: () => this.#shipper.restart(),
      received: message => this.#received(message),
      silenceMs: options.silenceMs ?? SILENCE_MS,
      clock,
      log,
    });
    this.#shipper = new RecordShipper({
      journal,
      send: message => this.#link.send(message),
      isUp: () => this.#link.isUp,
      log,
    });
  }

  get appliedVersion(): number {
    return this.#intake.inForce.version;
  }

  get isConnected(): boolean {
    return this.#link.isUp;
  }

  get serving(): Promise<void> {
    return this.#intake.serving;
  }

  async start(): Promise<void> {
    const { log } = this.#options;
    const [applied, newest] = await Promise.all([this.#store.loadBundle(), this.#store.loadNewest()]);
    const fault = await this.#intake.resume({ applied, newest });
    if (fault !== undefined)
      log.error('a kept bundle is refused; nothing is served before control gives one', { error: fault });
    // Until a bundle says what to serve, the point's own identity is all that it keeps fresh.
    if (this.#intake.newest.envelope === undefined)
      void this.#identities.hold({ identities: [this.identity], edgeHosts: undefined });
    this.#link.start();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#shipper.close();
    this.#identities.close();
    await this.#link.close();
    for (const { answer } of this.#requests.values()) answer({ kind: 'refused', reason: 'closed' });
    this.#requests.clear();
    await this.#intake.settle();
    await this.#store.settle();
  }

  async #connect() {
    const own = this.#identities.current(this.identity);
    if (own === undefined) {
      this.#becomeLost();
      throw new PointError('closed', "the point's own identity ran out");
    }
    return connectControl(this.#options.config, own);
  }

  #becomeLost(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#options.log.error("the point's own identity ran out; it must be started with a new join token");
    this.#options.onLost?.();
  }

  #hello(): PointMessage[] {
    const { acknowledged, newest } = this.#intake;
    return [
      {
        kind: 'hello',
        protocol: PROTOCOL,
        appliedVersion: acknowledged.version,
        appliedDigest: acknowledged.digest,
        newestVersion: newest.ref.version,
        newestDigest: newest.ref.digest,
      },
      this.#health(),
      ...[...this.#requests.values()].map(({ message }) => message),
    ];
  }

  #received(message: ControlMessage): void {
    switch (message.kind) {
      case 'bundle':
        return this.#intake.receive(message.envelope, message.version);
      case 'show':
        return this.#link.send({ kind: 'shown', envelope: this.#intake.newest.envelope ?? null });
      case 'certificate':
        return this.#answer(message.id, { kind: 'issued', certificateChainPem: message.certificateChain });
      case 'certificate-refused':
        return this.#answer(message.id, { kind: 'refused', reason: message.reason });
      case 'recorded':
        return this.#shipper.recorded(message.epoch, message.seq);
      case 'not-recorded':
        return this.#shipper.notRecorded();
      case 'ping':
        return this.#link.send(this.#health());
      case 'enrolled':
      case 'enrolment-refused':
        throw new PointError('out-of-order', 'control answers an enrolment that was not asked for');
      default:
        return assertNever(message);
    }
  }

  #certify(name: string, request: string): Promise<CertifyAnswer> {
    if (this.#closed) return Promise.resolve({ kind: 'refused', reason: 'closed' });
    const { promise, resolve } = Promise.withResolvers<CertifyAnswer>();
    this.#lastRequest += 1;
    const message: PointMessage = { kind: 'certify', id: this.#lastRequest, identity: name, request };
    this.#requests.set(this.#lastRequest, { message, answer: resolve });
    this.#link.send(message);
    return promise;
  }

  #answer(id: number, answer: CertifyAnswer): void {
    this.#requests.get(id)?.answer(answer);
    this.#requests.delete(id);
  }

  #identitiesChanged(): void {
    this.#options.host.identitiesChanged?.();
    this.#link.send(this.#health());
    this.#save({ version: this.#state.appliedVersion, digest: this.#state.appliedDigest }).catch(
      (error: Error) =>
        this.#options.log.error('renewed identities were not kept on disk', { error: error.message }),
    );
  }

  #report(verdict: IntakeVerdict): void {
    this.#link.send(verdict);
    if (verdict.kind === 'applied') this.#link.send(this.#health());
  }

  #save({ version, digest }: BundleRef): Promise<void> {
    this.#state = {
      ...this.#state,
      appliedVersion: version,
      appliedDigest: digest,
      identities: this.#identities.snapshot(),
    };
    return this.#store.save(this.#state);
  }

  #health(): PointMessage {
    const { journal } = this.#options;
    return {
      kind: 'health',
      recordsBehind: Math.max(0, journal.nextSeq - journal.oldestSeq),
      journalHealthy: journal.healthy,
      certificateNotAfterMs: this.#identities.firstNotAfterMs,
    };
  }
}

async function sleep(durationMs: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, durationMs);
  const wake = () => {
    clearTimeout(timer);
    resolve();
  };
  signal?.addEventListener('abort', wake, { once: true });
  await promise;
  signal?.removeEventListener('abort', wake);
}
