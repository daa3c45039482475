import type { Socket } from 'node:net';
import type { Reason } from '#domain/decision';
import {
  BodyDecoder,
  decodeResponseHead,
  encodeChunkHead,
  HttpError,
  type Framing,
  type HeaderList,
  type ResponseHead,
} from '#domain/http';
import type { Deadlines, Timed } from './deadlines.ts';
import { Inbox } from './inbox.ts';
import { reset } from './reset.ts';
import { nameOf } from './name-of.ts';
import type { Peer } from './peer.ts';
import type { ProxySettings } from './settings.ts';
import type { Reader, Turn } from './turn.ts';

/** Who asked: receives one answer, or one failure, and nothing after that. */
export interface AnswerSink {
  readonly method: string;
  /** A connection is being made for this sink. */
  upstreamConnecting(connection: UpstreamConnection): void;
  /** The connection is this sink's: it may write its request now. */
  upstreamReady(connection: UpstreamConnection): void;
  /** The connection takes body bytes again. */
  upstreamDrained(): void;
  /** A 1xx (RFC 9110 §15.2); never 100 or 101. */
  answerInterim(head: ResponseHead): void;
  answerHead(head: ResponseHead): void;
  answerData(chunk: Buffer): void;
  /** All that one read brought has been handed over. */
  answerFlush(): void;
  answerEnd(trailers: HeaderList | undefined): void;
  upstreamFailed(failure: UpstreamFailure): void;
}

export type UpstreamFailure = {
  readonly reason: Reason;
  readonly detail: string;
  /** A kept connection that the other side closed as we wrote: nothing was answered, perhaps nothing was read. */
  readonly stale: boolean;
};

/** How a connection to one upstream is made. */
export type Dialled = {
  readonly socket: Socket;
  readonly readyEvent: 'connect' | 'secureConnect';
  /** Valid once ready; mTLS only. */
  readonly peer: () => Peer | undefined;
  /** What went wrong while connecting, when the connector knows better than the socket. */
  readonly explain: (error: Error) => { readonly reason: Reason; readonly detail: string };
  /** Wall clock; the connection is not used for new requests after it. Final once ready. */
  readonly retireAtMs: number;
};

export interface ConnectionOwner {
  ready(connection: UpstreamConnection): void;
  /** The answer has ended and the connection can serve another request. */
  released(connection: UpstreamConnection): void;
  closed(connection: UpstreamConnection): void;
}

export type UpstreamParts = {
  readonly settings: ProxySettings;
  readonly deadlines: Deadlines;
  readonly turn: Turn;
};

type Phase = 'connecting' | 'idle' | 'sending' | 'answering' | 'closed';

const MAX_INTERIM = 8;
const CRLF = '\r\n';

/** One connection to an upstream: one request at a time, then the next. */
export class UpstreamConnection implements Timed, Reader {
  deadlineMs: number;
  readonly dialled: Dialled;
  readonly #owner: ConnectionOwner;
  readonly #settings: ProxySettings;
  readonly #deadlines: Deadlines;
  readonly #turn: Turn;
  readonly #socket: Socket;
  readonly #inbox = new Inbox();
  #phase: Phase = 'connecting';
  #sink: AnswerSink | undefined;
  #decoder: BodyDecoder | undefined;
  #keepAlive = false;
  #answerHeaded = false;
  #untilClose = false;
  #interims = 0;
  #served = 0;
  #sawBytes = false;
  #sentBody = false;
  #held = false;
  /** The other side has closed or broken off: what came before that counts, and nothing is sent any more. */
  #lost = false;

  constructor(dialled: Dialled, owner: ConnectionOwner, parts: UpstreamParts) {
    const { settings, deadlines } = parts;
    this.dialled = dialled;
    this.#owner = owner;
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#turn = parts.turn;
    this.#socket = dialled.socket;
    this.deadlineMs = deadlines.nowMs + settings.connectTimeoutMs;
    deadlines.add(this);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => this.#arrived(chunk));
    this.#socket.on('drain', () => this.#drained());
    this.#socket.on('end', () => this.#ended('the upstream closed the connection'));
    this.#socket.on('close', () => this.#ended('the upstream closed the connection'));
    this.#socket.on('error', (error: Error) => this.#failed(error));
    this.#socket.once(dialled.readyEvent, () => this.#connected());
  }

  get isIdle(): boolean {
    return this.#phase === 'idle';
  }

  /** Gives the connection to a request: at once when it is idle, else as soon as it is connected. */
  reserve(sink: AnswerSink): void {
    this.#sink = sink;
    if (this.#phase !== 'idle') return;
    this.#phase = 'sending';
    this.deadlineMs = Infinity;
    sink.upstreamReady(this);
  }

  /** Begins the request; `bodyFollows: false` also ends it. */
  send(head: string, bodyFollows: boolean): void {
    this.#decoder = undefined;
    this.#answerHeaded = false;
    this.#untilClose = false;
    this.#keepAlive = false;
    this.#sawBytes = false;
    this.#sentBody = bodyFollows;
    this.#interims = 0;
    if (!bodyFollows) this.#sent();
    this.#turn.write(this.#socket, head);
  }

  /** @returns whether more may be written now; if not, `upstreamDrained` follows */
  sendData(chunk: Buffer, framing: Framing): boolean {
    let flowing: boolean;
    if (framing.kind === 'chunked') {
      this.#turn.write(this.#socket, encodeChunkHead(chunk.length));
      this.#turn.write(this.#socket, chunk);
      flowing = this.#turn.write(this.#socket, CRLF);
    } else {
      flowing = this.#turn.write(this.#socket, chunk);
    }
    if (!flowing && this.#phase === 'sending') {
      this.deadlineMs = this.#deadlines.nowMs + this.#settings.bodyIdleTimeoutMs;
    }
    return flowing;
  }

  /** @param last what ends a chunked body; empty otherwise */
  endData(last: string): void {
    if (last !== '') this.#turn.write(this.#socket, last);
    this.#sent();
  }

  /** Stops reading the answer: its reader is behind. */
  hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.deadlineMs = Infinity;
    this.#socket.pause();
  }

  unhold(): void {
    if (!this.#held) return;
    this.#held = false;
    if (this.#phase === 'closed') return;
    this.#awaitAnswer();
    this.#socket.resume();
  }

  /** The request that this connection was for is over before its answer was: the connection cannot be used again. */
  abandon(): void {
    this.#sink = undefined;
    // While connecting nothing was sent: the next request may have it.
    if (this.#phase !== 'connecting') this.destroy();
  }

  readonly cut = (): void => {
    this.#fail('upstream-unverified', 'the identity at one end was revoked', () => reset(this.#socket));
  };

  destroy(): void {
    this.#close();
    this.#socket.destroy();
  }

  expired(): void {
    switch (this.#phase) {
      case 'connecting':
        this.#fail('upstream-timeout', 'no connection in time');
        return;
      case 'sending':
        this.#fail('upstream-timeout', 'the upstream does not read the request');
        return;
      case 'answering':
        this.#fail('upstream-timeout', this.#answerHeaded ? 'the answer stalled' : 'no answer in time');
        return;
      case 'idle':
      case 'closed':
        this.destroy();
    }
  }

  #connected(): void {
    this.#phase = 'idle';
    this.deadlineMs = this.#deadlines.nowMs + this.#settings.upstreamKeepAliveTimeoutMs;
    this.#owner.ready(this);
    const sink = this.#sink;
    if (sink !== undefined) this.reserve(sink);
    else if (this.isIdle) this.#owner.released(this);
  }

  #sent(): void {
    if (this.#phase !== 'sending') return;
    this.#phase = 'answering';
    this.#awaitAnswer();
  }

  #awaitAnswer(): void {
    if (this.#phase !== 'answering') return;
    const { answerTimeoutMs, bodyIdleTimeoutMs } = this.#settings;
    this.deadlineMs = this.#deadlines.nowMs + (this.#answerHeaded ? bodyIdleTimeoutMs : answerTimeoutMs);
  }

  #drained(): void {
    if (this.#phase === 'sending') this.deadlineMs = Infinity;
    this.#sink?.upstreamDrained();
  }

  // UNTRUSTED: a service may be compromised, and its answers are as hostile as any request.
  #arrived(chunk: Buffer): void {
    if (this.#sink === undefined || this.#phase === 'idle') {
      // A second answer, or one that nobody asked for: who it would go to is the attacker's choice.
      this.destroy();
      return;
    }
    this.#sawBytes = true;
    this.#inbox.push(chunk);
    this.#turn.read(this, this.#inbox.size);
  }

  read(): void {
    this.#decode();
    this.#sink?.answerFlush();
  }

  broke(error: unknown): void {
    const isTheirs = error instanceof HttpError;
    this.#fail(isTheirs ? 'upstream-malformed' : 'internal-error', isTheirs ? error.message : nameOf(error));
  }

  #decode(): void {
    const inbox = this.#inbox;
    while (inbox.size > 0 && this.#sink !== undefined) {
      if (this.#decoder === undefined) {
        if (!this.#decodeHead(this.#sink)) return;
      } else {
        inbox.consume(this.#decoder.decode(inbox.bytes, inbox.start, inbox.end, this));
      }
      // The sink may have given up on what it was handed.
      if (this.#decoder?.ended === true && this.#sink !== undefined) this.#complete(this.#sink);
    }
    if (this.#sink !== undefined && this.#answerHeaded) this.#awaitAnswer();
  }

  /** Receives the answer's body from the decoder. */
  data(chunk: Buffer): void {
    this.#sink?.answerData(chunk);
  }

  #decodeHead(sink: AnswerSink): boolean {
    const inbox = this.#inbox;
    const { http } = this.#settings;
    if (!inbox.hasNews(http.maxLineBytes) && inbox.size < http.maxHeadBytes) return false;
    const decoded = decodeResponseHead(inbox.bytes, inbox.start, inbox.end, http, sink.method);
    if (decoded.kind === 'incomplete') return false;
    if (decoded.kind === 'refused') {
      this.#fail('upstream-malformed', `the answer's head: ${decoded.fault}`);
      return false;
    }
    inbox.consume(decoded.consumed);
    const { head } = decoded;
    if (head.status < 200) return this.#interim(sink, head);
    this.#answerHeaded = true;
    this.#keepAlive = head.keepAlive;
    this.#untilClose = head.framing.kind === 'until-close';
    this.#decoder = new BodyDecoder(head.framing, http);
    sink.answerHead(head);
    return true;
  }

  #interim(sink: AnswerSink, head: ResponseHead): boolean {
    // RFC 9110 §7.8: 101 answers an Upgrade, and none was sent.
    if (head.status === 101 || ++this.#interims > MAX_INTERIM) {
      this.#fail(
        'upstream-malformed',
        head.status === 101 ? 'an upgrade that was not asked for' : 'too many 1xx',
      );
      return false;
    }
    if (head.status !== 100) sink.answerInterim(head);
    return true;
  }

  #complete(sink: AnswerSink): void {
    const trailers = this.#decoder?.trailers;
    this.#sink = undefined;
    this.#decoder = undefined;
    this.#served++;
    const reusable = this.#keepAlive && this.#phase === 'answering' && this.#inbox.size === 0 && !this.#lost;
    if (reusable) {
      this.#phase = 'idle';
      if (this.#held) {
        this.#held = false;
        this.#socket.resume();
      }
      this.deadlineMs = this.#deadlines.nowMs + this.#settings.upstreamKeepAliveTimeoutMs;
      this.#owner.released(this);
    } else {
      this.destroy();
    }
    try {
      sink.answerEnd(trailers);
    } catch (error) {
      sink.upstreamFailed({ reason: 'internal-error', detail: nameOf(error), stale: false });
    }
  }

  #ended(detail: string): void {
    this.#lost = true;
    this.#turn.readNow(this);
    const sink = this.#sink;
    if (this.#phase === 'closed') return;
    if (sink !== undefined && this.#untilClose && this.#decoder !== undefined) {
      try {
        this.#decoder.finish();
        this.#complete(sink);
      } catch (error) {
        this.broke(error);
      }
      return;
    }
    this.#fail(this.#sawBytes ? 'upstream-malformed' : 'upstream-unreachable', detail);
  }

  #failed(error: Error): void {
    this.#lost = true;
    this.#turn.readNow(this);
    if (this.#phase === 'connecting') {
      const { reason, detail } = this.dialled.explain(error);
      this.#fail(reason, detail);
      return;
    }
    // TLS 1.3: the other side judges our certificate after our side of the handshake is complete.
    const { reason, detail } = this.#sawBytes
      ? { reason: 'upstream-malformed' as const, detail: `the connection broke: ${codeOf(error)}` }
      : this.dialled.explain(error);
    this.#fail(reason, detail);
  }

  #fail(reason: Reason, detail: string, close: () => void = () => this.#socket.destroy()): void {
    const sink = this.#sink;
    const stale = this.#served > 0 && !this.#sawBytes && !this.#sentBody;
    this.#close();
    close();
    sink?.upstreamFailed({ reason, detail, stale });
  }

  #close(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#sink = undefined;
    this.#decoder = undefined;
    this.#inbox.clear();
    this.#deadlines.remove(this);
    this.#owner.closed(this);
  }
}

export function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
