import { REASONS, type Reason } from '#domain/decision';
import {
  FieldLines,
  dropUntrusted,
  dropUntrustedOfResponse,
  encodeRequestHead,
  type Framing,
  type HeaderList,
  type RequestHead,
  type ResponseHead,
} from '#domain/http';
import type { HeaderLine } from '#domain/limit';
import { normalisePath } from '#domain/path';
import type { TransactionRecord } from '#domain/record';
import { formatTraceparent } from '#domain/trace';
import type { Clock } from '#base/clock';
import type { AnswerHead } from './answer.ts';
import type { Caller } from './caller.ts';
import { Exchange, type Downstream, type Stages } from './exchange.ts';
import type { Admission, Collect, Destination, Hop, Stop } from './hop.ts';
import { Reception } from './intake.ts';
import { nameOf } from './name-of.ts';
import { describeProblem } from './problem-answer.ts';

/** When the first byte of a request came: wall clock and monotonic. */
export type Began = { readonly timeMs: number; readonly startedMs: number };

export type ConnectionFacts = Pick<
  TransactionRecord,
  | 'timeMs'
  | 'direction'
  | 'caller'
  | 'callee'
  | 'method'
  | 'rule'
  | 'reason'
  | 'detail'
  | 'bytesIn'
  | 'bytesOut'
  | 'durationUs'
> & { readonly address: string };

/**
 * Takes a request from its head to its record:
 *
 *     receive → normalise → route → identify → limit → vet → authorize → forward → answer → record
 *
 * for gateway and agents alike; what differs between edge, inbound, outbound and egress is in the `Hop`. Each stage
 * hands on what it proved: a `Caller` shows that the caller is known, a `Permit` that the model allows the call, and
 * only with a permit can a request be forwarded. Synchronous unless a token must be verified or a body read first.
 */
export class Pipeline {
  readonly #clock: Clock;
  readonly #stages: Stages;
  readonly #reception = new Reception();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#stages = {
      answer: (x, head, framing, keepAlive) => this.#answer(x, head, framing, keepAlive),
      interim: (x, head) => this.#interim(x, head),
      refuse: (x, reason, headers, keepAlive) => this.#answerRefusal(x, reason, headers, keepAlive),
      record: x => this.#record(x),
    };
  }

  // ---- receive: the codec has read one unambiguous head (RFC 9112); the body waits in the connection

  receive(head: RequestHead, hop: Hop, from: Downstream, began: Began): Exchange {
    const intake = this.#reception.takeIn(head, hop.believesCaller, began.timeMs, began.startedMs);
    return new Exchange(intake, hop, from, this.#stages);
  }

  /** Something came that is not a request: it is answered and recorded all the same. */
  receiveUnread(shown: string, hop: Hop, from: Downstream, began: Began): Exchange {
    return new Exchange(
      this.#reception.takeInUnread(shown, began.timeMs, began.startedMs),
      hop,
      from,
      this.#stages,
    );
  }

  /** Records what ended before any request: a handshake that failed, a connection that was cut. */
  recordConnection(connection: ConnectionFacts): TransactionRecord {
    const { requestId, trace, timeMs } = this.#reception.takeInUnread('', connection.timeMs, 0);
    const { reason } = connection;
    return {
      timeMs,
      requestId,
      traceId: trace.traceId,
      direction: connection.direction,
      client: {
        kind: connection.caller === '' ? 'unknown' : 'service',
        id: connection.caller,
        address: connection.address,
      },
      user: '',
      caller: connection.caller,
      callee: connection.callee,
      host: '',
      method: connection.method,
      path: '',
      rule: connection.rule,
      decision: decisionFor(reason),
      reason,
      detail: connection.detail,
      status: 0,
      bytesIn: connection.bytesIn,
      bytesOut: connection.bytesOut,
      durationUs: connection.durationUs,
    };
  }

  run(x: Exchange): void {
    this.#guarded(x, () => this.#begin(x));
  }

  /** The request's body has ended: what waited for it goes on. */
  endRequest(x: Exchange, trailers: HeaderList | undefined): void {
    this.#guarded(x, () => x.requestEnd(trailers));
  }

  #begin(x: Exchange): void {
    const { hop, intake } = x;

    // ---- normalise: one spelling for each path, before anything looks at it
    const normalised = normalisePath(intake.head.rawPath);
    if (normalised.kind === 'refused') {
      x.refuse({ kind: 'refused', reason: 'ambiguous-path', nearest: '', detail: normalised.reason });
      return;
    }
    x.path = normalised.path;

    // ---- route: where a request of this host, method and path goes, if anywhere
    const destination = hop.route(x, normalised.path);
    if (destination.kind === 'refused') {
      x.refuse(destination);
      return;
    }
    x.destination = destination;

    // ---- identify: who asks
    const identified = hop.identify(x, destination);
    if (!(identified instanceof Promise)) {
      this.#identified(x, destination, identified);
      return;
    }
    identified.then(
      caller => this.#guarded(x, () => this.#identified(x, destination, caller)),
      (error: unknown) => this.#failed(x, error),
    );
  }

  #identified(x: Exchange, destination: Destination, identified: Caller | Stop): void {
    if (x.ended) return;
    if (identified.kind === 'refused') {
      x.refuse(identified);
      return;
    }
    x.caller = identified;

    // ---- limit: how often
    this.#limited(x, destination, identified, x.hop.limit(x, destination, identified));
  }

  #limited(x: Exchange, destination: Destination, caller: Caller, limited: Admission | Stop | Collect): void {
    if (x.ended) return;
    switch (limited.kind) {
      case 'refused':
        x.refuse(limited);
        return;
      case 'collect':
        // The account that a sign-in names stands in its body; a body that is too long is not waited for.
        if (isTooLong(x, destination)) {
          x.refuse(TOO_LONG);
          return;
        }
        x.collect(Math.min(limited.maxBytes, destination.maxRequestBytes), body =>
          this.#guarded(x, () => this.#limited(x, destination, caller, limited.decide(body))),
        );
        return;
      case 'admitted':
        x.admission = limited;
    }

    // ---- vet: what may not come near the service, whoever sends it
    const { framing } = x.intake.head;
    if (isTooLong(x, destination)) {
      x.refuse(TOO_LONG);
      return;
    }
    if (destination.mode === 'durable' && !x.from.recorder.healthy) {
      x.refuse({
        kind: 'refused',
        reason: 'ledger-unavailable',
        nearest: '',
        detail: 'the journal takes nothing',
      });
      return;
    }

    // ---- authorize: whether the model allows it
    const permit = x.hop.authorize(x, destination, caller);
    if (permit.kind === 'refused') {
      x.refuse(permit);
      return;
    }

    // ---- forward: written anew from what was decided on, never copied through
    x.forward({ permit, destination, framing, head: this.#encodeRequest(x, destination, caller) });
  }

  #encodeRequest(x: Exchange, destination: Destination, caller: Caller): string {
    const { head, requestId, trace } = x.intake;
    const { headers } = head;
    const believed = readFields(headers, x.hop.believedFields(caller));
    dropUntrusted(headers);
    // We answer it ourselves once the request is permitted; the callee is sent the body at once.
    headers.remove('expect');
    headers.add(FieldLines.of(['x-request-id', requestId], ['traceparent', formatTraceparent(trace)]));
    if (trace.state !== '') headers.push('tracestate', trace.state);
    for (const [name, value] of believed) headers.push(name, value);
    x.hop.dressRequest(headers, x, caller);
    return encodeRequestHead({
      method: head.method,
      target: x.path + head.rawQuery,
      authority: destination.authority ?? head.authority,
      headers,
      framing: head.framing,
    });
  }

  // ---- answer: the callee's, without what only Ringwall or the connection may say, or the problem that stands for it

  #answer(x: Exchange, head: ResponseHead, framing: Framing, keepAlive: boolean): AnswerHead {
    const { headers, status } = head;
    dropUntrustedOfResponse(headers);
    x.hop.dressAnswer(headers);
    headers.add(FieldLines.of(['x-request-id', x.intake.requestId]));
    if (x.admission !== undefined) headers.add(x.admission.lines);
    for (const [name, value] of x.greeting) headers.push(name, value);
    return { status, headers, framing, keepAlive };
  }

  #interim(x: Exchange, { headers }: ResponseHead): void {
    dropUntrustedOfResponse(headers);
    x.hop.dressAnswer(headers);
  }

  #answerRefusal(x: Exchange, reason: Reason, headers: readonly HeaderLine[], keepAlive: boolean) {
    x.status = REASONS[reason].status;
    return describeProblem({ x, reason, headers, keepAlive, nowMs: this.#clock.nowMs() });
  }

  // ---- record: one for every transaction, whatever became of it

  #record(x: Exchange): TransactionRecord {
    const { intake, caller, reason } = x;
    return {
      timeMs: intake.timeMs,
      requestId: intake.requestId,
      traceId: intake.trace.traceId,
      direction: x.hop.direction,
      client: { kind: caller?.kind ?? 'unknown', id: caller?.id ?? '', address: x.from.address },
      user: caller?.hasToken === true ? caller.id : '',
      caller: caller?.identity ?? '',
      callee: x.destination?.callee ?? '',
      host: intake.head.host,
      method: intake.head.method,
      path: x.path.length > MAX_PATH_CHARS ? x.path.slice(0, MAX_PATH_CHARS) : x.path,
      rule: x.rule,
      decision: decisionFor(reason),
      reason,
      detail: x.detail,
      status: x.status,
      bytesIn: x.bytesIn,
      bytesOut: x.bytesOut,
      durationUs: Math.max(0, Math.round((this.#clock.monotonicMs() - intake.startedMs) * 1000)),
    };
  }

  /** A bug of ours ends one request, and not the point. */
  #guarded(x: Exchange, stage: () => void): void {
    try {
      stage();
    } catch (error) {
      // It broke as it ended: nobody knows how much of the answer has left.
      if (x.ended) x.from.destroy();
      else this.#failed(x, error);
    }
  }

  #failed(x: Exchange, error: unknown): void {
    x.refuse({ kind: 'refused', reason: 'internal-error', nearest: '', detail: nameOf(error) });
  }
}

const MAX_PATH_CHARS = 256;
const NO_LINES: readonly HeaderLine[] = [];

const TOO_LONG: Stop & { readonly detail: string } = {
  kind: 'refused',
  reason: 'request-too-large',
  nearest: '',
  detail: 'by its declared length',
};

function isTooLong(x: Exchange, { maxRequestBytes }: Destination): boolean {
  const { framing } = x.intake.head;
  return framing.kind === 'length' && framing.bytes > maxRequestBytes;
}

function decisionFor(reason: Reason | ''): TransactionRecord['decision'] {
  if (reason === '') return 'allowed';
  return REASONS[reason].ring === 'none' ? 'failed' : 'refused';
}

function readFields(headers: HeaderList, names: readonly string[]): readonly HeaderLine[] {
  if (names.length === 0) return NO_LINES;
  const lines: HeaderLine[] = [];
  for (const name of names) {
    const value = headers.get(name);
    if (value !== undefined) lines.push([name, value]);
  }
  return lines;
}
