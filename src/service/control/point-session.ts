import type { TLSSocket } from 'node:tls';
import { assertNever, CodedError } from '#base/error';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import type { Envelope } from '#domain/dsse';
import {
  LineChannel,
  pointMessageSchema,
  type BundleRef,
  type ControlMessage,
  type PointMessage,
} from '#service/link';
import type { IssuedCertificate } from '#service/ca';
import type { WantedBundle } from './desired-state.ts';
import type { PointName } from './join-tokens.ts';
import type { RecordKeeper } from './ports.ts';

/** What a point did wrong on its stream. */
export class SessionError extends CodedError<
  'out-of-order' | 'unknown-bundle' | 'too-many-requests' | 'silent' | 'certificate-expired'
> {}

/** What a point says of itself, as far as it said it. */
export type PointReport = {
  readonly appliedVersion: number;
  readonly appliedDigest: string;
  /** How long the point took from reading the bundle to having it in force; 0 when that was before it connected. */
  readonly tookMs: number;
  readonly rejected:
    { readonly version: number; readonly fault: string; readonly message: string } | undefined;
  readonly recordsBehind: number;
  readonly journalHealthy: boolean;
  /** Of its first certificate to expire; 0 while it has none. */
  readonly certificateNotAfterMs: number;
};

export type CertificateAnswer =
  | { readonly kind: 'issued'; readonly certificate: IssuedCertificate }
  | { readonly kind: 'refused'; readonly reason: 'revoked' | 'not-entitled' | 'bad-request' | 'failed' };

export type SessionDuties = {
  readonly keeper: Pick<RecordKeeper, 'appendBatch'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Decides on a request for a certificate, and issues it. */
  readonly certify: (session: PointSession, name: string, requestPem: string) => Promise<CertificateAnswer>;
  /** Whether control never made such a bundle for the point. */
  readonly isForeign: (point: PointName, bundle: BundleRef) => boolean;
  /** The point said hello, or its report changed. */
  readonly reported: (session: PointSession) => void;
  /** The point answered `askToShow`; without an envelope when it has lost it. */
  readonly shown: (session: PointSession, envelope: Envelope | undefined) => void;
};

export type PeerCertificate = { readonly serial: string; readonly notAfterMs: number };

// A point sends batches of records; nothing else that it says unasked is long.
const MAX_LINE_BYTES = 8 * 1024 * 1024;
/** Of the one line in which a point shows a bundle. */
const MAX_SHOWN_BYTES = 64 * 1024 * 1024;
const SHOW_WITHIN_MS = 30_000;
// A large bundle, twice: while one is still on its way, the next waits at the session and not in the socket.
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
const MAX_REQUESTS_WAITING = 2048;

/**
 * Control's end of one point's stream.
 *
 * UNTRUSTED: the point is authenticated, but may be taken over: it can speak in its own name only, and cannot hold
 * more than the bounds here.
 */
export class PointSession {
  readonly point: PointName;
  readonly #socket: TLSSocket;
  readonly #channel: LineChannel;
  readonly #duties: SessionDuties;
  #certificate: PeerCertificate;
  #report: PointReport | undefined;
  #newest: BundleRef = { version: 0, digest: '' };
  #askedToShowMs: number | undefined;
  #lastHeardMs: number;
  #sentVersion = 0;
  #waitingBundle: WantedBundle | undefined;
  #requests: Promise<void> = Promise.resolve();
  #requestsWaiting = 0;
  #storing = false;

  constructor(point: PointName, certificate: PeerCertificate, socket: TLSSocket, duties: SessionDuties) {
    this.point = point;
    this.#certificate = certificate;
    this.#socket = socket;
    this.#duties = duties;
    this.#lastHeardMs = duties.clock.monotonicMs();
    this.#channel = new LineChannel(socket, {
      maxLineBytes: MAX_LINE_BYTES,
      maxQueuedBytes: MAX_QUEUED_BYTES,
      onLine: line => this.#receive(pointMessageSchema.parse(line)),
    });
    socket.on('drain', () => this.#offerWaiting());
  }

  /** `undefined` until the point said hello. */
  get report(): PointReport | undefined {
    return this.#report;
  }

  /** The newest bundle that the point was ever given, by its own account. */
  get newest(): BundleRef {
    return this.#newest;
  }

  get certificate(): PeerCertificate {
    return this.#certificate;
  }

  /** Sends a bundle as soon as the point has read what came before; of several that wait, the last. */
  offer(wanted: WantedBundle): void {
    this.#waitingBundle = wanted;
    this.#offerWaiting();
  }

  /** Asks for the newest bundle that the point was ever given. */
  askToShow(): void {
    this.#askedToShowMs = this.#duties.clock.monotonicMs();
    this.#channel.limitLines(MAX_SHOWN_BYTES);
    this.#send({ kind: 'show' });
  }

  /** Asks for a sign of life; ends the stream of a point that gave none, or whose certificate ran out. */
  checkAlive(silenceMs: number): void {
    const { clock } = this.#duties;
    if (clock.monotonicMs() - (this.#askedToShowMs ?? Infinity) > SHOW_WITHIN_MS) {
      return this.close(new SessionError('silent', 'the point does not show what it was asked for'));
    }
    if (clock.monotonicMs() - this.#lastHeardMs > silenceMs) {
      return this.close(new SessionError('silent', 'the point does not answer any more'));
    }
    if (this.#certificate.notAfterMs <= clock.nowMs()) {
      return this.close(new SessionError('certificate-expired', "the point's certificate is past its time"));
    }
    this.#send({ kind: 'ping' });
  }

  close(error?: Error): void {
    this.#socket.destroy(error);
  }

  #receive(message: PointMessage): void {
    this.#lastHeardMs = this.#duties.clock.monotonicMs();
    if (message.kind === 'hello') return this.#greet(message);
    const report = this.#report;
    if (report === undefined) throw new SessionError('out-of-order', 'a point must say hello first');
    switch (message.kind) {
      case 'applied': {
        const { version, digest, tookMs } = message;
        this.#checkApplied({ version, digest });
        return this.#update({
          ...report,
          appliedVersion: version,
          appliedDigest: digest,
          tookMs,
          rejected: undefined,
        });
      }
      case 'rejected': {
        const { version, fault, message: words } = message;
        return this.#update({ ...report, rejected: { version, fault, message: words } });
      }
      case 'health': {
        const { recordsBehind, journalHealthy, certificateNotAfterMs } = message;
        return this.#update({ ...report, recordsBehind, journalHealthy, certificateNotAfterMs });
      }
      case 'shown':
        return this.#takeShown(message.envelope ?? undefined);
      case 'certify':
        return this.#queueRequest(message.id, message.identity, message.request);
      case 'records':
        return this.#store(message);
      default:
        return assertNever(message);
    }
  }

  #greet(hello: Extract<PointMessage, { kind: 'hello' }>): void {
    if (this.#report !== undefined) throw new SessionError('out-of-order', 'a point says hello once');
    if (hello.newestVersion < hello.appliedVersion)
      throw new SessionError('out-of-order', 'a point cannot apply what is newer than all that it was given');
    this.#newest = { version: hello.newestVersion, digest: hello.newestDigest };
    this.#update({
      appliedVersion: hello.appliedVersion,
      appliedDigest: hello.appliedDigest,
      tookMs: 0,
      rejected: undefined,
      recordsBehind: 0,
      journalHealthy: true,
      certificateNotAfterMs: 0,
    });
  }

  #checkApplied(bundle: BundleRef): void {
    // What the point held when it came is looked into elsewhere.
    if (bundle.version === this.#newest.version && bundle.digest === this.#newest.digest) return;
    if (this.#duties.isForeign(this.point, bundle))
      throw new SessionError('unknown-bundle', 'the point applies a bundle that it was never given');
  }

  #takeShown(envelope: Envelope | undefined): void {
    if (this.#askedToShowMs === undefined)
      throw new SessionError('out-of-order', 'a point shows a bundle when it is asked to');
    this.#askedToShowMs = undefined;
    this.#channel.limitLines(MAX_LINE_BYTES);
    this.#duties.shown(this, envelope);
  }

  #update(report: PointReport): void {
    this.#report = report;
    this.#duties.reported(this);
  }

  #offerWaiting(): void {
    const wanted = this.#waitingBundle;
    if (wanted === undefined || this.#report === undefined || this.#socket.writableNeedDrain) return;
    this.#waitingBundle = undefined;
    if (wanted.bundle.version <= this.#sentVersion) return;
    this.#sentVersion = wanted.bundle.version;
    if (wanted.digest === this.#report.appliedDigest && wanted.bundle.version === this.#report.appliedVersion)
      return;
    this.#send({ kind: 'bundle', version: wanted.bundle.version, envelope: wanted.envelope });
  }

  /**
   * One after another, so that a point with many services does not take the CPU from the others, and none before the
   * point has read the answers to those before.
   */
  #queueRequest(id: number, name: string, requestPem: string): void {
    if (this.#requestsWaiting >= MAX_REQUESTS_WAITING) {
      throw new SessionError('too-many-requests', 'the point asks for too many certificates at once');
    }
    this.#requestsWaiting += 1;
    this.#requests = this.#requests.then(async () => {
      await this.#drained();
      this.#requestsWaiting -= 1;
      if (!this.#socket.destroyed) await this.#answerRequest(id, name, requestPem);
    });
  }

  async #drained(): Promise<void> {
    const socket = this.#socket;
    if (!socket.writableNeedDrain || socket.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.once('drain', resolve).once('close', resolve);
    await promise;
    socket.off('drain', resolve).off('close', resolve);
  }

  async #answerRequest(id: number, name: string, requestPem: string): Promise<void> {
    const answer = await this.#duties.certify(this, name, requestPem);
    if (answer.kind === 'refused')
      return this.#send({ kind: 'certificate-refused', id, reason: answer.reason });
    const { certificateChainPem: certificateChain, notAfterMs } = answer.certificate;
    this.#send({ kind: 'certificate', id, certificateChain, notAfterMs });
  }

  /** The point renewed the identity with which it speaks; this stream lives on under it. */
  renewed(certificate: PeerCertificate): void {
    this.#certificate = certificate;
  }

  #store({ epoch, firstSeq, lines }: Extract<PointMessage, { kind: 'records' }>): void {
    // INVARIANT: one batch at a time, for acknowledgements say "up to here".
    if (this.#storing)
      throw new SessionError('out-of-order', 'a point waits until its last batch is recorded');
    this.#storing = true;
    // The name comes from the certificate and not from the message: no point writes in the name of another.
    const batch = { point: this.point.name, epoch, firstSeq, lines };
    void this.#duties.keeper
      .appendBatch(batch)
      .then(
        seq => this.#send({ kind: 'recorded', epoch, seq }),
        (error: Error) => {
          this.#duties.log.error('records were not taken', { point: this.point.name, error: error.message });
          this.#send({ kind: 'not-recorded', epoch, firstSeq });
        },
      )
      .finally(() => (this.#storing = false));
  }

  #send(message: ControlMessage): void {
    this.#channel.send(message);
  }
}
