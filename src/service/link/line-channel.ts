import type { Duplex } from 'node:stream';
import { CodedError } from '#base/error';

export class LinkError extends CodedError<'line-too-long' | 'not-utf8' | 'too-slow'> {}

export type LineChannelOptions = {
  /** The longest line that is read, without its newline. */
  readonly maxLineBytes: number;
  /** A peer that leaves more than this unread is broken off: it must not hold what others need. */
  readonly maxQueuedBytes: number;
  /** Called with each line. What it throws breaks the channel off. */
  readonly onLine: (line: string) => void;
};

const NEWLINE = 0x0a;
const NOTHING = Buffer.alloc(0);

/**
 * Lines of UTF-8 over a stream, both ways bounded.
 *
 * UNTRUSTED: what is read comes from the peer. Anything that is out of bounds destroys the stream with the error.
 */
export class LineChannel {
  readonly #stream: Duplex;
  readonly #maxQueuedBytes: number;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #maxLineBytes: number;
  /** The start of a line of which the end has not come, in one buffer: a peer that sends single bytes costs no more. */
  #pending = NOTHING;
  #pendingBytes = 0;

  constructor(stream: Duplex, options: LineChannelOptions) {
    this.#stream = stream;
    this.#maxLineBytes = options.maxLineBytes;
    this.#maxQueuedBytes = options.maxQueuedBytes;
    this.#onLine = options.onLine;
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  /** Bytes that wait for the peer to read them. */
  get queuedBytes(): number {
    return this.#stream.writableLength;
  }

  /** Raises or lowers the bound, once it is known who speaks. */
  limitLines(maxLineBytes: number): void {
    this.#maxLineBytes = maxLineBytes;
  }

  send(message: object): void {
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    if (this.#stream.writableLength > this.#maxQueuedBytes) {
      this.#stream.destroy(new LinkError('too-slow', 'the peer does not read what it is sent'));
      return;
    }
    this.#stream.write(`${JSON.stringify(message)}\n`);
  }

  #read(chunk: Buffer): void {
    let start = 0;
    while (!this.#stream.destroyed) {
      const end = chunk.indexOf(NEWLINE, start);
      const part = chunk.subarray(start, end === -1 ? chunk.byteLength : end);
      if (this.#pendingBytes + part.byteLength > this.#maxLineBytes)
        return this.#breakOff('line-too-long', 'a line is too long');
      if (end === -1) return this.#hold(part);
      start = end + 1;
      if (this.#pendingBytes === 0) this.#finishLine(part);
      else {
        this.#hold(part);
        this.#finishLine(this.#pending.subarray(0, this.#pendingBytes));
      }
    }
  }

  #hold(part: Buffer): void {
    const bytes = this.#pendingBytes + part.byteLength;
    if (bytes > this.#pending.byteLength) {
      const grown = Buffer.allocUnsafe(Math.min(bytes * 2, this.#maxLineBytes));
      this.#pending.copy(grown, 0, 0, this.#pendingBytes);
      this.#pending = grown;
    }
    part.copy(this.#pending, this.#pendingBytes);
    this.#pendingBytes = bytes;
  }

  #finishLine(bytes: Buffer): void {
    this.#pending = NOTHING;
    this.#pendingBytes = 0;
    let line: string;
    try {
      line = this.#decoder.decode(bytes);
    } catch {
      return this.#breakOff('not-utf8', 'a line is not UTF-8');
    }
    try {
      this.#onLine(line);
    } catch (error) {
      this.#stream.destroy(error as Error);
    }
  }

  #breakOff(code: LinkError['code'], message: string): void {
    this.#pending = NOTHING;
    this.#pendingBytes = 0;
    this.#stream.destroy(new LinkError(code, message));
  }
}
