import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  HTTP_FAULTS,
  readHttp2Trailers,
  type HeaderList,
  type HttpFault,
  type RequestHead,
} from '#domain/http';
import type { Reason } from '#domain/decision';
import type { Answer } from './answer.ts';
import type { ConnectionParts } from './client-connection.ts';
import type { Timed } from './deadlines.ts';
import { isEmpty, type Downstream, type Exchange } from './exchange.ts';
import type { Hop } from './hop.ts';
import { fieldsByName, Http2Answer } from './http2-answer.ts';
import { Patience } from './patience.ts';
import type { Peer } from './peer.ts';
import type { ProxySettings } from './settings.ts';

/** The connection that a stream is a part of. */
export interface StreamOwner {
  readonly address: string;
  readonly peer: Peer | undefined;
  readonly serverName: string;
  readonly draining: boolean;
  streamClosed(caller: Http2Caller): void;
}

/** One request of an HTTP/2 connection, on a stream of its own. */
export class Http2Caller implements Downstream, Timed {
  deadlineMs = Infinity;
  readonly address: string;
  readonly peer: Peer | undefined;
  readonly serverName: string;
  readonly settings: ProxySettings;
  readonly recorder: ConnectionParts['recorder'];
  readonly #owner: StreamOwner;
  readonly #stream: ServerHttp2Stream;
  readonly #parts: ConnectionParts;
  readonly #patience: Patience;
  #exchange: Exchange | undefined;
  #wantsBody = false;
  #bodyEnded = false;
  #trailers: HeaderList | undefined;
  #trailerFault: HttpFault | undefined;
  #finished = false;

  constructor(stream: ServerHttp2Stream, owner: StreamOwner, parts: ConnectionParts) {
    this.#stream = stream;
    this.#owner = owner;
    this.#parts = parts;
    this.address = owner.address;
    this.peer = owner.peer;
    this.serverName = owner.serverName;
    this.settings = parts.settings;
    this.recorder = parts.recorder;
    this.#patience = new Patience(parts.settings, parts.deadlines);
    parts.deadlines.add(this);
    stream.on('trailers', (_trailers, _flags, raw: readonly string[]) => this.#readTrailers(raw));
    stream.on('drain', () => this.#drained());
    stream.on('aborted', () => this.#exchange?.abandon('the caller ended the stream'));
    stream.on('close', () => this.#gone());
    // The reason is of no use to anybody: `close` follows.
    stream.on('error', () => {});
  }

  /** Only the end of the stream, and not of the connection, follows an answer. */
  get closing(): boolean {
    return false;
  }

  serve(head: RequestHead, hop: Hop): void {
    const { pipeline, clock } = this.#parts;
    const began = { timeMs: clock.nowMs(), startedMs: clock.monotonicMs() };
    this.#bodyEnded = isEmpty(head.framing);
    const x = pipeline.receive(head, hop, this, began);
    this.#exchange = x;
    pipeline.run(x);
  }

  /** Answers what is not a request as we understand it. */
  refuse(shown: string, hop: Hop, reason: Reason, detail: string): void {
    const { pipeline, clock } = this.#parts;
    const began = { timeMs: clock.nowMs(), startedMs: clock.monotonicMs() };
    const x = pipeline.receiveUnread(shown, hop, this, began);
    this.#exchange = x;
    x.refuse({ kind: 'refused', reason, nearest: '', detail });
  }

  // ---- what the exchange asks for

  openAnswer(): Answer {
    return new Http2Answer(this.#stream);
  }

  interim(status: number, headers: HeaderList): void {
    if (this.#isOver()) return;
    this.#stream.additionalHeaders({ ':status': status, ...fieldsByName(headers, false) });
  }

  takeBody(): void {
    if (this.#wantsBody || this.#bodyEnded) return;
    const isFirst = this.#stream.listenerCount('data') === 0;
    this.#wantsBody = true;
    this.#awaitBody();
    if (isFirst) {
      this.#stream.on('end', () => this.#ended());
      this.#stream.on('data', (chunk: Buffer) => this.#arrived(chunk));
    }
    this.#stream.resume();
  }

  holdBody(): void {
    if (!this.#wantsBody) return;
    this.#wantsBody = false;
    this.#stopWaiting();
    this.#stream.pause();
  }

  /** The rest of a body concerns its own stream and no later request. */
  skipBody(): boolean {
    return true;
  }

  inviteBody(): void {
    const head = this.#exchange?.intake.head;
    if (head?.expectContinue === true && !this.#isOver()) this.#stream.additionalHeaders({ ':status': 100 });
  }

  finished(): void {
    this.#finished = true;
    this.#exchange = undefined;
    this.#stopWaiting();
    // RFC 9113 §8.1: an answer that did not wait for its request tells the client to stop sending.
    if (!this.#bodyEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR);
    this.deadlineMs = this.#parts.deadlines.nowMs + this.settings.bodyIdleTimeoutMs;
  }

  destroy(): void {
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  expired(): void {
    const stalled = this.#wantsBody && !this.#stream.writableNeedDrain;
    if (stalled) {
      this.#exchange?.refuse({
        kind: 'refused',
        reason: 'request-timeout',
        nearest: '',
        detail: 'the body stalled',
      });
      return;
    }
    this.#exchange?.abandon('the caller does not read');
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  // ---- the request's body

  // UNTRUSTED: every byte.
  #arrived(chunk: Buffer): void {
    const x = this.#exchange;
    if (x === undefined || x.ended) return;
    x.requestData(chunk);
    if (this.#wantsBody) this.#awaitBody();
  }

  #readTrailers(raw: readonly string[]): void {
    const read = readHttp2Trailers(raw, this.settings.http);
    if (typeof read === 'string') this.#trailerFault = read;
    else this.#trailers = read;
  }

  #ended(): void {
    if (this.#bodyEnded) return;
    this.#bodyEnded = true;
    this.#wantsBody = false;
    this.#stopWaiting();
    const x = this.#exchange;
    if (x === undefined || x.ended) return;
    const fault = this.#trailerFault;
    if (fault !== undefined) {
      x.refuse({ kind: 'refused', reason: HTTP_FAULTS[fault].reason, nearest: '', detail: `body: ${fault}` });
      return;
    }
    this.#parts.pipeline.endRequest(x, this.#trailers);
  }

  // ---- waiting for a slow peer

  #awaitBody(): void {
    this.deadlineMs = this.#patience.await(this.#exchange?.bytesIn ?? 0);
  }

  #stopWaiting(): void {
    this.#patience.stop();
    this.deadlineMs = Infinity;
  }

  #drained(): void {
    if (!this.#wantsBody) this.#stopWaiting();
    this.#exchange?.callerDrained();
  }

  #isOver(): boolean {
    return this.#finished || this.#stream.destroyed || this.#stream.closed;
  }

  #gone(): void {
    this.#parts.deadlines.remove(this);
    const x = this.#exchange;
    this.#exchange = undefined;
    x?.abandon('the caller closed the stream');
    this.#owner.streamClosed(this);
  }
}
