import type { Socket } from 'node:net';
import {
  BodyDecoder,
  decodeRequestHead,
  encodeResponseHead,
  HTTP_FAULTS,
  HttpError,
  type Framing,
  type HeaderList,
} from '#domain/http';
import type { Reason } from '#domain/decision';
import type { Clock } from '#base/clock';
import type { Answer } from './answer.ts';
import type { ByteSink } from './answer-writer.ts';
import type { Deadlines, Timed } from './deadlines.ts';
import { isEmpty, type Downstream, type Exchange } from './exchange.ts';
import type { Hop } from './hop.ts';
import { Http1Answer } from './http1-answer.ts';
import { Inbox } from './inbox.ts';
import { nameOf } from './name-of.ts';
import { Patience } from './patience.ts';
import type { Peer } from './peer.ts';
import type { Began, Pipeline } from './pipeline.ts';
import type { Recorder } from './recorder.ts';
import { reset } from './reset.ts';
import type { ProxySettings } from './settings.ts';
import { shownLine } from './shown-line.ts';
import type { Reader, Turn } from './turn.ts';

export type ConnectionParts = {
  readonly settings: ProxySettings;
  readonly deadlines: Deadlines;
  readonly clock: Clock;
  readonly recorder: Recorder;
  readonly pipeline: Pipeline;
  readonly turn: Turn;
};

/** What is known of a connection before its first byte. */
export type Accepted = {
  readonly socket: Socket;
  readonly address: string;
  readonly peer: Peer | undefined;
  readonly serverName: string;
  /** The hop in force: asked for each request, so that a new bundle decides on the next one. */
  readonly hop: () => Hop;
};

/** `idle` between requests, `head` within one's head, `busy` from there to the end of its answer. */
type Phase = 'idle' | 'head' | 'busy' | 'lingering' | 'ending' | 'closed';

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** A caller's connection: reads one request after the other, each only when the one before is answered. */
export class ClientConnection implements Downstream, ByteSink, Timed, Reader {
  deadlineMs: number;
  readonly address: string;
  readonly peer: Peer | undefined;
  readonly serverName: string;
  readonly settings: ProxySettings;
  readonly recorder: Recorder;
  readonly #parts: ConnectionParts;
  readonly #deadlines: Deadlines;
  readonly #socket: Socket;
  readonly #hop: () => Hop;
  readonly #inbox = new Inbox();
  readonly #closed = Promise.withResolvers<void>();
  #phase: Phase = 'idle';
  #exchange: Exchange | undefined;
  #decoder: BodyDecoder | undefined;
  #wantsBody = false;
  #paused = false;
  #pumping = false;
  #decoding = false;
  #served = 0;
  #draining = false;
  #halfClosed = false;
  #invited = false;
  /** Bytes came that no request claims: they are read off before the connection is closed. */
  #unreadLeft = false;
  #began: Began = { timeMs: 0, startedMs: 0 };
  #lingered = 0;
  readonly #patience: Patience;
  #writtenBytes = 0;

  constructor(accepted: Accepted, parts: ConnectionParts) {
    this.#socket = accepted.socket;
    this.address = accepted.address;
    this.peer = accepted.peer;
    this.serverName = accepted.serverName;
    this.#hop = accepted.hop;
    this.#parts = parts;
    this.settings = parts.settings;
    this.recorder = parts.recorder;
    this.#deadlines = parts.deadlines;
    this.#patience = new Patience(parts.settings, parts.deadlines);
    this.deadlineMs = parts.deadlines.nowMs + parts.settings.headTimeoutMs;
    parts.deadlines.add(this);
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#arrived(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('end', () => this.#readEnded());
    socket.on('close', () => this.#gone());
    // The reason is of no use to anybody: `close` follows.
    socket.on('error', () => {});
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get closing(): boolean {
    const noMoreComes = this.#halfClosed && this.#inbox.size === 0;
    return this.#draining || noMoreComes || this.#served >= this.settings.maxRequestsPerConnection;
  }

  /** Closes after the request that is being served, or now: who decided until now decides on no other. */
  drain(): void {
    this.#draining = true;
    if (this.#phase === 'idle') this.#end();
    else if (this.#phase === 'head') this.#refuseUnread('draining', 'the head came too late');
  }

  /** Nothing arrives any more, not even what was written before. */
  readonly cut = (): void => {
    const x = this.#exchange;
    this.#exchange = undefined;
    reset(this.#socket);
    x?.abandon('cut by the point');
    this.#gone();
  };

  // ---- what the exchange asks for

  write(part: string | Buffer): boolean {
    if (this.#phase === 'closed') return true;
    this.#writtenBytes += part.length;
    const flowing = this.#parts.turn.write(this.#socket, part);
    if (!flowing) this.#awaitReader();
    return flowing;
  }

  openAnswer(): Answer {
    return new Http1Answer(this);
  }

  interim(status: number, headers: HeaderList): void {
    this.write(encodeResponseHead({ status, headers, framing: NO_CONTENT, keepAlive: true }));
  }

  takeBody(): void {
    if (this.#wantsBody || this.#decoder === undefined) return;
    this.#wantsBody = true;
    this.#awaitBody();
    this.#pump();
  }

  holdBody(): void {
    if (!this.#wantsBody) return;
    this.#wantsBody = false;
    this.#stopWaiting();
  }

  skipBody(): boolean {
    const decoder = this.#decoder;
    if (decoder === undefined) return true;
    // From within the decoder: it cannot be asked to go on before it has returned.
    if (this.#decoding) return false;
    try {
      const inbox = this.#inbox;
      if (inbox.size > 0) inbox.consume(decoder.decode(inbox.bytes, inbox.start, inbox.end, NOWHERE));
    } catch {
      return false;
    }
    if (decoder.ended) this.#decoder = undefined;
    return decoder.ended;
  }

  inviteBody(): void {
    const head = this.#exchange?.intake.head;
    // RFC 9110 §10.1.1: may be omitted once the body has begun.
    if (head?.expectContinue !== true || head.version === '1.0' || this.#inbox.size > 0 || this.#invited)
      return;
    this.#invited = true;
    this.write(CONTINUE);
  }

  finished(keepAlive: boolean): void {
    if (this.#phase === 'closed') return;
    const bodyLeft = this.#decoder !== undefined;
    this.#exchange = undefined;
    this.#decoder = undefined;
    this.#wantsBody = false;
    this.#stopWaiting();
    this.#patience.reset();
    this.#writtenBytes = 0;
    this.#served++;
    if (!keepAlive || bodyLeft || this.closing) {
      if (bodyLeft) this.#linger();
      else this.#end();
      return;
    }
    this.#phase = 'idle';
    if (this.#socket.writableNeedDrain) {
      // The next request waits until this answer is on its way: else answers would pile up here.
      this.#awaitReader();
      return;
    }
    this.#next();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#gone();
  }

  expired(): void {
    switch (this.#phase) {
      case 'idle':
      case 'lingering':
      case 'ending':
      case 'closed':
        this.destroy();
        return;
      case 'head':
        this.#refuseUnread('request-timeout', 'the head did not end in time');
        return;
      case 'busy':
        if (this.#wantsBody && !this.#socket.writableNeedDrain) {
          this.#exchange?.refuse({
            kind: 'refused',
            reason: 'request-timeout',
            nearest: '',
            detail: 'the body stalled',
          });
        } else {
          this.#exchange?.abandon('the caller does not read');
          this.destroy();
        }
    }
  }

  // ---- reading

  // UNTRUSTED: every byte.
  #arrived(chunk: Buffer): void {
    switch (this.#phase) {
      case 'closed':
      case 'ending':
        return;
      case 'lingering':
        this.#lingered += chunk.length;
        if (this.#lingered > this.settings.lingerBytes) this.destroy();
        return;
      case 'idle':
      case 'head':
      case 'busy':
        this.#inbox.push(chunk);
        this.#parts.turn.read(this, this.#inbox.size);
    }
  }

  read(): void {
    this.#pump();
  }

  broke(error: unknown): void {
    try {
      if (this.#phase === 'head') this.#refuseUnread('internal-error', nameOf(error));
      else this.#exchange?.abandon(nameOf(error));
    } catch {
      // To say so failed as well: what is left is to cut.
    }
    if (this.#phase !== 'lingering') this.destroy();
  }

  /** Uses what has arrived as far as it can be used now; stops reading when it cannot. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#inbox.size > 0) {
        const goesOn = this.#phase === 'busy' ? this.#pumpBody() : this.#isReading() && this.#pumpHead();
        if (!goesOn) break;
      }
    } finally {
      this.#pumping = false;
    }
    if (this.#halfClosed) this.#endReading();
    const full = this.#inbox.size > 0 && (this.#phase === 'busy' || this.#socket.writableNeedDrain);
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.#socket.pause();
    else this.#socket.resume();
  }

  #isReading(): boolean {
    return (this.#phase === 'idle' && !this.#socket.writableNeedDrain) || this.#phase === 'head';
  }

  #pumpHead(): boolean {
    const inbox = this.#inbox;
    if (this.#phase === 'idle') {
      this.#phase = 'head';
      const { clock } = this.#parts;
      this.#began = { timeMs: clock.nowMs(), startedMs: clock.monotonicMs() };
      this.deadlineMs = this.#deadlines.nowMs + this.settings.headTimeoutMs;
    }
    const { http } = this.settings;
    if (!inbox.hasNews(http.maxLineBytes) && inbox.size < http.maxHeadBytes) return false;
    const decoded = decodeRequestHead(inbox.bytes, inbox.start, inbox.end, http);
    switch (decoded.kind) {
      case 'incomplete':
        return false;
      case 'refused':
        this.#refuseUnread(decoded.reason, decoded.fault);
        return false;
      case 'head':
        break;
    }
    inbox.consume(decoded.consumed);
    const { head } = decoded;
    const hop = this.#hop();
    this.#phase = 'busy';
    this.deadlineMs = Infinity;
    this.#invited = false;
    this.#decoder = isEmpty(head.framing) ? undefined : new BodyDecoder(head.framing, http);
    const { pipeline } = this.#parts;
    const x = pipeline.receive(head, hop, this, this.#began);
    this.#exchange = x;
    pipeline.run(x);
    return true;
  }

  #pumpBody(): boolean {
    const decoder = this.#decoder;
    const x = this.#exchange;
    if (decoder === undefined || x === undefined || x.ended || !this.#wantsBody) return false;
    const inbox = this.#inbox;
    this.#decoding = true;
    try {
      inbox.consume(decoder.decode(inbox.bytes, inbox.start, inbox.end, this));
    } catch (error) {
      this.#decoding = false;
      this.#refuseBody(x, error);
      return false;
    }
    this.#decoding = false;
    if (!decoder.ended) {
      if (this.#wantsBody) this.#awaitBody();
      return this.#wantsBody;
    }
    this.#decoder = undefined;
    this.#wantsBody = false;
    this.#stopWaiting();
    if (!x.ended) this.#parts.pipeline.endRequest(x, decoder.trailers);
    return true;
  }

  /** Receives the request's body from the decoder. */
  data(chunk: Buffer): void {
    this.#exchange?.requestData(chunk);
  }

  #refuseBody(x: Exchange, error: unknown): void {
    const fault = error instanceof HttpError ? error.code : undefined;
    const reason: Reason = fault === undefined ? 'internal-error' : HTTP_FAULTS[fault].reason;
    x.refuse({ kind: 'refused', reason, nearest: '', detail: `body: ${fault ?? 'unreadable'}` });
  }

  /** Answers to something that is not a request as we understand them, and closes. */
  #refuseUnread(reason: Reason, detail: string): void {
    const { pipeline } = this.#parts;
    const shown = shownLine(this.#inbox);
    this.#phase = 'busy';
    this.deadlineMs = Infinity;
    const x = pipeline.receiveUnread(shown, this.#hop(), this, this.#began);
    this.#exchange = x;
    // What follows is nobody's: it may be the body of what we refused.
    this.#inbox.clear();
    this.#unreadLeft = true;
    x.refuse({ kind: 'refused', reason, nearest: '', detail });
  }

  #next(): void {
    this.deadlineMs = this.#deadlines.nowMs + this.settings.keepAliveTimeoutMs;
    this.#parts.turn.readNow(this);
  }

  // ---- waiting for a slow peer

  #awaitBody(): void {
    this.deadlineMs = this.#patience.await(this.#exchange?.bytesIn ?? 0);
  }

  #awaitReader(): void {
    this.deadlineMs = this.#patience.await(this.#writtenBytes);
  }

  #stopWaiting(): void {
    this.#patience.stop();
    this.deadlineMs = Infinity;
  }

  #drained(): void {
    if (this.#phase === 'busy') {
      if (!this.#wantsBody) this.#stopWaiting();
      this.#exchange?.callerDrained();
    } else if (this.#phase === 'idle') {
      this.#stopWaiting();
      this.#next();
    }
  }

  // ---- closing

  #readEnded(): void {
    this.#halfClosed = true;
    if (this.#phase === 'lingering' || this.#phase === 'ending') this.#socket.destroySoon();
    else this.#parts.turn.readNow(this);
  }

  /** Nothing comes any more, and what has come was used as far as it could be. */
  #endReading(): void {
    switch (this.#phase) {
      case 'busy':
        // What is here is the rest of its body, which nobody wants yet, or the next request.
        if (this.#decoder === undefined || this.#inbox.size > 0) return;
        // RFC 9112 §8: a body that is cut short is not a request.
        this.#exchange?.abandon('the caller closed before the body ended');
        this.destroy();
        return;
      case 'head':
        this.#refuseUnread('malformed-request', 'the head was cut short');
        return;
      case 'idle':
        if (this.#inbox.size === 0) this.#end();
        return;
      case 'lingering':
      case 'ending':
      case 'closed':
    }
  }

  #end(): void {
    if (this.#unreadLeft) {
      this.#linger();
      return;
    }
    this.#phase = 'ending';
    this.#endWriting();
    if (this.#halfClosed) this.#socket.destroySoon();
  }

  /**
   * Closes our side and reads on for a while: a reset, which follows when unread bytes meet a closed socket, would
   * take the answer from the peer's buffers before the peer has read it (RFC 9112 §9.6).
   */
  #linger(): void {
    this.#phase = 'lingering';
    this.#endWriting();
  }

  #endWriting(): void {
    this.#inbox.clear();
    // What is written may have to wait for a slow reader first.
    this.deadlineMs = this.#deadlines.nowMs + this.settings.bodyIdleTimeoutMs;
    this.#socket.end(() => {
      this.deadlineMs = this.#deadlines.nowMs + this.settings.lingerTimeoutMs;
    });
    if (this.#paused) this.#socket.resume();
  }

  #gone(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#deadlines.remove(this);
    this.#inbox.clear();
    const x = this.#exchange;
    this.#exchange = undefined;
    this.#decoder = undefined;
    x?.abandon('the caller closed the connection');
    this.#closed.resolve();
  }
}

const NO_CONTENT: Framing = { kind: 'none' };
const NOWHERE = { data: () => {} };
