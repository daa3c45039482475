import type { Reason } from '#domain/decision';
import { encodeLastChunk, type Framing, type HeaderList, type ResponseHead } from '#domain/http';
import type { HeaderLine } from '#domain/limit';
import type { Permit } from '#domain/policy';
import type { TransactionRecord } from '#domain/record';
import type { Answer, AnswerHead } from './answer.ts';
import type { Caller } from './caller.ts';
import { CollectedBody } from './collected-body.ts';
import type { Admission, Destination, Hop, Stop } from './hop.ts';
import type { Peer } from './peer.ts';
import type { Intake } from './intake.ts';
import type { Recorder } from './recorder.ts';
import type { ProxySettings } from './settings.ts';
import type { AnswerSink, UpstreamConnection, UpstreamFailure } from './upstream-connection.ts';

const NO_HEADERS: readonly HeaderLine[] = [];
const MAX_INTERIM_BYTES = 8_192;

/** The caller's connection, as an exchange sees it. */
export interface Downstream {
  /** The peer's IP address. */
  readonly address: string;
  readonly peer: Peer | undefined;
  /** SNI, lower case; empty without one. */
  readonly serverName: string;
  readonly settings: ProxySettings;
  readonly recorder: Recorder;
  /** Whether the connection must not serve another request. */
  readonly closing: boolean;
  /** The answer to the next request. */
  openAnswer(): Answer;
  /** Sends a 1xx head (RFC 9110 §15.2). */
  interim(status: number, headers: HeaderList): void;
  /** Hands body bytes on from now, with what has arrived already. */
  takeBody(): void;
  /** Reads no more body for now. */
  holdBody(): void;
  /** Drops what is left of the body if all of it is here; whether the body has ended. */
  skipBody(): boolean;
  /** Tells the client to send its body (RFC 9110 §10.1.1), unless it has begun already. */
  inviteBody(): void;
  /** The answer is written. */
  finished(keepAlive: boolean): void;
  destroy(): void;
}

/** What the pipeline does at the end of an exchange: the stages `answer` and `record`, and the answer to a refusal. */
export type Stages = {
  readonly answer: (x: Exchange, head: ResponseHead, framing: Framing, keepAlive: boolean) => AnswerHead;
  readonly interim: (x: Exchange, head: ResponseHead) => void;
  readonly refuse: (
    x: Exchange,
    reason: Reason,
    headers: readonly HeaderLine[],
    keepAlive: boolean,
  ) => { readonly head: AnswerHead; readonly body: string };
  readonly record: (x: Exchange) => TransactionRecord;
};

export type Forwarding = {
  readonly destination: Destination;
  readonly head: string;
  readonly framing: Framing;
  /** For the record: which rule allowed it. */
  readonly permit: Permit;
};

/**
 * One request and its answer: moves bytes both ways with back-pressure, and ends exactly once.
 *
 * What is decided about it comes from the pipeline; nothing here looks at a rule.
 */
export class Exchange implements AnswerSink {
  readonly intake: Intake;
  readonly hop: Hop;
  readonly from: Downstream;
  readonly method: string;

  // What the record says, filled in as it becomes known.
  destination: Destination | undefined;
  caller: Caller | undefined;
  /** Normalised once it could be. */
  path: string;
  rule = '';
  reason: Reason | '' = '';
  detail = '';
  status = 0;
  bytesIn = 0;
  bytesOut = 0;
  admission: Admission | undefined;
  /** For a caller that was given an id: told with the answer, whatever it is. */
  greeting: readonly HeaderLine[] = NO_HEADERS;

  /** After this nothing reaches the caller any more. */
  ended = false;
  readonly #stages: Stages;
  readonly #writer: Answer;
  #forwarding: Forwarding | undefined;
  #upstream: UpstreamConnection | undefined;
  #collecting: { readonly body: CollectedBody; readonly proceed: (body: Buffer) => void } | undefined;
  #collected: Buffer | undefined;
  #requestEnded: boolean;
  #requestTrailers: HeaderList | undefined;
  #keepAlive = true;
  #upstreamDone = false;
  #retried = false;
  #answered = false;
  #interimBytes = 0;

  constructor(intake: Intake, hop: Hop, from: Downstream, stages: Stages) {
    this.intake = intake;
    this.hop = hop;
    this.from = from;
    this.method = intake.head.method;
    this.path = intake.head.rawPath;
    this.#stages = stages;
    this.#writer = from.openAnswer();
    this.#requestEnded = isEmpty(intake.head.framing);
  }

  // ---- what the pipeline asks for

  /** Reads the whole body before `proceed`; a body above `maxBytes` is refused. */
  collect(maxBytes: number, proceed: (body: Buffer) => void): void {
    if (this.#requestEnded) {
      proceed(Buffer.alloc(0));
      return;
    }
    this.#collecting = { body: new CollectedBody(maxBytes), proceed };
    this.from.inviteBody();
    this.from.takeBody();
  }

  forward(forwarding: Forwarding): void {
    this.#forwarding = forwarding;
    this.rule = forwarding.permit.rule;
    if (forwarding.destination.mode === 'durable') this.#writer.hold(this.from.settings.holdBytes);
    forwarding.destination.pool.acquire(this);
  }

  /** Answers with a problem instead of forwarding, or instead of the answer that cannot be given. */
  refuse(stop: Stop): void {
    if (this.ended) return;
    try {
      this.#refuse(stop);
    } catch {
      // A fault of ours in saying so: to cut the connection is all that is left.
      this.from.destroy();
    }
  }

  #refuse(stop: Stop): void {
    this.reason = stop.reason;
    this.detail = stop.detail ?? '';
    if (stop.nearest !== '') this.rule = stop.nearest;
    this.#release();
    if (this.#writer.begun) {
      // The status has left; to cut the connection is the only way left to say that the answer is not whole.
      this.#finish(false, 'cut');
      return;
    }
    this.#writer.clear();
    const keepAlive = this.#mayKeepAlive() && (this.#requestEnded || this.from.skipBody());
    this.bytesOut = 0;
    this.#answerProblem(stop.reason, stop.headers ?? [], keepAlive);
    this.#finish(keepAlive, 'write');
  }

  /** The caller is gone: nobody will read an answer. */
  abandon(detail: string): void {
    if (this.ended) return;
    this.detail = detail;
    this.#release();
    this.#finish(false, 'cut');
  }

  // ---- the request's body

  requestData(chunk: Buffer): void {
    this.bytesIn += chunk.length;
    const collecting = this.#collecting;
    const maxBytes = collecting?.body.maxBytes ?? this.destination?.maxRequestBytes ?? 0;
    if (this.bytesIn > maxBytes) {
      this.refuse({
        kind: 'refused',
        reason: 'request-too-large',
        nearest: this.rule,
        detail: `above ${maxBytes} bytes`,
      });
      return;
    }
    if (collecting !== undefined) {
      collecting.body.push(chunk);
      return;
    }
    const forwarding = this.#forwarding;
    if (forwarding !== undefined && this.#upstream?.sendData(chunk, forwarding.framing) === false)
      this.from.holdBody();
  }

  requestEnd(trailers: HeaderList | undefined): void {
    this.#requestEnded = true;
    this.#requestTrailers = trailers;
    const collecting = this.#collecting;
    if (collecting !== undefined) {
      this.#collecting = undefined;
      this.#collected = collecting.body.bytes;
      collecting.proceed(this.#collected);
      return;
    }
    this.#endUpload();
  }

  // ---- the upstream's side

  upstreamConnecting(connection: UpstreamConnection): void {
    this.#upstream = connection;
  }

  upstreamReady(connection: UpstreamConnection): void {
    const forwarding = this.#forwarding;
    if (forwarding === undefined || this.ended) {
      connection.abandon();
      return;
    }
    this.#upstream = connection;
    const { head, framing } = forwarding;
    const bodyFollows = !isEmpty(framing);
    connection.send(head, bodyFollows);
    if (!bodyFollows) return;
    if (this.#collected !== undefined) {
      if (this.#collected.length > 0) connection.sendData(this.#collected, framing);
      this.#endUpload();
    } else if (!this.#requestEnded) {
      this.from.inviteBody();
      this.from.takeBody();
    }
  }

  upstreamDrained(): void {
    if (!this.#requestEnded && this.#collecting === undefined) this.from.takeBody();
  }

  answerInterim(head: ResponseHead): void {
    // RFC 9110 §15.2: not to a 1.0 client.
    if (this.intake.head.version === '1.0' || this.#writer.begun) return;
    // RFC 9110 §15.2 would have it passed on; but nothing of a durable transaction leaves before its record.
    if (this.destination?.mode !== 'relaxed') return;
    this.#stages.interim(this, head);
    for (const [name, value] of head.headers.entries()) this.#interimBytes += name.length + value.length;
    // Else the heads of interim answers would be a way around the bound on answers.
    if (this.#interimBytes > Math.min(MAX_INTERIM_BYTES, this.destination.maxResponseBytes)) return;
    this.from.interim(head.status, head.headers);
  }

  answerHead(head: ResponseHead): void {
    this.#settle(head.status);
    const maxBytes = this.destination?.maxResponseBytes ?? Infinity;
    if (head.framing.kind === 'length' && head.framing.bytes > maxBytes) {
      this.#tooLarge(maxBytes);
      return;
    }
    this.status = head.status;
    this.#keepAlive = this.#mayKeepAlive() && this.#requestEnded;
    const framing = this.#framingFor(head.framing);
    if (framing.kind === 'until-close') this.#keepAlive = false;
    this.#writer.head(this.#stages.answer(this, head, framing, this.#keepAlive));
  }

  answerData(chunk: Buffer): void {
    this.bytesOut += chunk.length;
    const maxBytes = this.destination?.maxResponseBytes ?? Infinity;
    if (this.bytesOut > maxBytes) {
      this.#tooLarge(maxBytes);
      return;
    }
    this.#writer.content(chunk);
  }

  answerFlush(): void {
    if (!this.ended && !this.#writer.flush()) this.#upstream?.hold();
  }

  answerEnd(trailers: HeaderList | undefined): void {
    if (this.ended) return;
    this.#upstream = undefined;
    this.#upstreamDone = true;
    this.#writer.last(trailers);
    this.#finish(this.#keepAlive && this.#requestEnded, 'write');
  }

  upstreamFailed(failure: UpstreamFailure): void {
    this.#upstream = undefined;
    if (this.ended) return;
    const forwarding = this.#forwarding;
    // RFC 9110 §9.2.2: only a request that may be sent twice is sent twice, and only if nothing came of the first.
    if (failure.stale && !this.#retried && forwarding !== undefined && isIdempotent(this.method)) {
      this.#retried = true;
      forwarding.destination.pool.acquireFresh(this);
      return;
    }
    this.refuse({ kind: 'refused', reason: failure.reason, nearest: this.rule, detail: failure.detail });
  }

  /** The caller reads again. */
  callerDrained(): void {
    this.#upstream?.unhold();
  }

  // ---- the end

  #endUpload(): void {
    const forwarding = this.#forwarding;
    if (forwarding === undefined) return;
    this.#upstream?.endData(
      forwarding.framing.kind === 'chunked' ? encodeLastChunk(this.#requestTrailers) : '',
    );
  }

  #tooLarge(maxBytes: number): void {
    this.refuse({
      kind: 'refused',
      reason: 'response-too-large',
      nearest: this.rule,
      detail: `the answer is above ${maxBytes} bytes`,
    });
  }

  #framingFor(framing: Framing): Framing {
    if (framing.kind === 'none' || framing.kind === 'length') return framing;
    return this.intake.head.version === '1.0' ? { kind: 'until-close' } : { kind: 'chunked' };
  }

  #mayKeepAlive(): boolean {
    return this.intake.head.keepAlive && !this.from.closing;
  }

  #release(): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    this.#collecting = undefined;
    if (upstream !== undefined) upstream.abandon();
    else if (!this.#upstreamDone) this.#forwarding?.destination.pool.forget(this);
  }

  #settle(status: number): void {
    if (this.#answered) return;
    this.#answered = true;
    this.admission?.settle?.(status);
  }

  /** Records the transaction, then lets the answer's last bytes go: in durable mode only once the record is on disk. */
  #finish(keepAlive: boolean, how: 'write' | 'cut'): void {
    this.ended = true;
    try {
      this.#record(keepAlive, how);
    } catch {
      // A fault of ours: nobody knows how much of the answer has left, or that it is recorded.
      this.from.destroy();
    }
  }

  #record(keepAlive: boolean, how: 'write' | 'cut'): void {
    this.#settle(0);
    const { recorder } = this.from;
    const mode = this.destination?.mode ?? 'relaxed';
    const record = this.#stages.record(this);
    (this.destination ?? this.hop).series.observe(record);
    if (mode === 'relaxed' || how === 'cut') {
      recorder.append(record, mode);
      this.#leave(keepAlive, how);
      return;
    }
    recorder.append(record, 'durable', error => {
      try {
        if (error === undefined) this.#leave(keepAlive, 'write');
        else this.#unrecorded(keepAlive);
      } catch {
        this.from.destroy();
      }
    });
  }

  /** What cannot be recorded does not happen: the caller gets 503 in place of the answer. */
  #unrecorded(keepAlive: boolean): void {
    if (this.#writer.begun) {
      this.#leave(false, 'cut');
      return;
    }
    this.#writer.clear();
    this.#answerProblem('ledger-unavailable', [], keepAlive);
    this.#leave(keepAlive, 'write');
  }

  #answerProblem(reason: Reason, headers: readonly HeaderLine[], keepAlive: boolean): void {
    const { head, body } = this.#stages.refuse(this, reason, headers, keepAlive);
    this.#writer.head(head);
    if (this.method === 'HEAD') return;
    this.bytesOut = body.length;
    this.#writer.content(Buffer.from(body, 'latin1'));
  }

  #leave(keepAlive: boolean, how: 'write' | 'cut'): void {
    if (how === 'cut') {
      this.from.destroy();
      return;
    }
    this.#writer.end();
    this.from.finished(keepAlive);
  }
}

/** Whether there is no body to wait for. */
export function isEmpty(framing: Framing): boolean {
  return framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0);
}

function isIdempotent(method: string): boolean {
  return (
    method === 'GET' || method === 'HEAD' || method === 'PUT' || method === 'DELETE' || method === 'OPTIONS'
  );
}
