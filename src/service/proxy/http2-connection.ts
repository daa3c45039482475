import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { readHttp2Request } from '#domain/http';
import type { Accepted, ConnectionParts } from './client-connection.ts';
import type { Timed } from './deadlines.ts';
import { Http2Caller, type StreamOwner } from './http2-caller.ts';
import type { Held } from './listener.ts';
import type { Peer } from './peer.ts';

/** RFC 9113 §6.5.2 recommends at least 100. */
const MAX_STREAMS = 100;
/** Streams that a client may reset at once, and a second after that (CVE-2023-44487). */
const RESET_BURST = 200;
const RESETS_PER_SECOND = 33;
const MAX_SETTINGS = 32;
const MAX_SESSION_MB = 4;
const MAX_BAD_FRAMES = 100;

/** A caller's connection in HTTP/2: many requests at a time, each on its stream. */
export class Http2Connection implements Held, StreamOwner, Timed {
  deadlineMs: number;
  readonly address: string;
  readonly peer: Peer | undefined;
  readonly serverName: string;
  readonly #accepted: Accepted;
  readonly #parts: ConnectionParts;
  readonly #session: ServerHttp2Session;
  readonly #callers = new Set<Http2Caller>();
  readonly #closed = Promise.withResolvers<void>();
  #served = 0;
  #draining = false;

  constructor(accepted: Accepted, parts: ConnectionParts) {
    this.#accepted = accepted;
    this.#parts = parts;
    this.address = accepted.address;
    this.peer = accepted.peer;
    this.serverName = accepted.serverName;
    const { settings, deadlines } = parts;
    this.deadlineMs = deadlines.nowMs + settings.keepAliveTimeoutMs;
    deadlines.add(this);
    this.#session = performServerHandshake(accepted.socket, {
      maxSettings: MAX_SETTINGS,
      maxSessionMemory: MAX_SESSION_MB,
      maxHeaderListPairs: settings.http.maxHeaders + 8,
      maxSessionInvalidFrames: MAX_BAD_FRAMES,
      maxSessionRejectedStreams: MAX_BAD_FRAMES,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_SECOND,
      settings: {
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: settings.http.maxHeadBytes,
        enablePush: false,
        enableConnectProtocol: false,
      },
    });
    this.#session.on('stream', (stream, _headers, flags, raw) => this.#opened(stream, flags, raw));
    // What they say is said by the streams, too.
    this.#session.on('error', () => {});
    this.#session.on('close', () => this.#gone());
    accepted.socket.on('error', () => {});
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Takes no more requests, and closes after those that are being served. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    if (!this.#session.closed) this.#session.close();
  }

  readonly cut = (): void => {
    this.#session.destroy();
    this.#accepted.socket.destroy();
  };

  expired(): void {
    if (this.#callers.size === 0) this.drain();
    // A client that does not answer our goodbye is not waited for.
    this.deadlineMs = this.#parts.deadlines.nowMs + this.#parts.settings.drainTimeoutMs;
    if (this.#session.closed) this.cut();
  }

  streamClosed(caller: Http2Caller): void {
    this.#callers.delete(caller);
    const { settings, deadlines } = this.#parts;
    if (this.#callers.size === 0) this.deadlineMs = deadlines.nowMs + settings.keepAliveTimeoutMs;
  }

  // UNTRUSTED: every frame.
  #opened(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    const { settings } = this.#parts;
    const caller = new Http2Caller(stream, this, this.#parts);
    this.#callers.add(caller);
    this.deadlineMs = Infinity;
    const hop = this.#accepted.hop();
    const endsHere = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    try {
      const read = readHttp2Request(raw, endsHere, 'https', settings.http);
      if (read.kind === 'head') caller.serve(read.head, hop);
      else caller.refuse(shownPath(raw), hop, read.reason, read.fault);
    } catch {
      // A fault of ours ends one stream, and not the point.
      caller.destroy();
    }
    if (++this.#served >= settings.maxRequestsPerConnection) this.drain();
  }

  #gone(): void {
    this.#parts.deadlines.remove(this);
    this.#accepted.socket.destroy();
    this.#closed.resolve();
  }
}

const MAX_SHOWN_CHARS = 128;

/** What of a request that could not be read goes into its record: its path without query, printable. */
function shownPath(raw: readonly string[]): string {
  const at = raw.indexOf(':path');
  const path = (at === -1 ? '' : (raw[at + 1] ?? '')).split('?', 1)[0] ?? '';
  return path
    .slice(0, MAX_SHOWN_CHARS)
    .replace(/[^\x21-\x7e]/g, unit => `\\x${unit.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
