import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { http2Fields, type HeaderList } from '#domain/http';
import type { Answer, AnswerHead } from './answer.ts';

/** An answer on an HTTP/2 stream. */
export class Http2Answer implements Answer {
  begun = false;
  readonly #stream: ServerHttp2Stream;
  #holdBytes = 0;
  #head: AnswerHead | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #trailers: HeaderList | undefined;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  hold(bytes: number): void {
    this.#holdBytes = bytes;
  }

  head(head: AnswerHead): void {
    this.#head = head;
  }

  content(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  last(trailers: HeaderList | undefined): void {
    this.#trailers = trailers;
  }

  flush(): boolean {
    if (this.#holdBytes === 0) return this.#send(this.#take());
    if (!this.begun && this.#bytes <= this.#holdBytes) return true;
    const held = this.#chunks.pop();
    const chunks = this.#take();
    if (held !== undefined) this.content(held);
    return this.#send(chunks);
  }

  end(): void {
    const chunks = this.#take();
    const isEmpty = !this.begun && chunks.length === 0 && this.#trailers === undefined;
    if (!this.#respond(isEmpty) || isEmpty) return;
    for (const chunk of chunks) this.#stream.write(chunk);
    this.#stream.end();
  }

  clear(): void {
    this.#head = undefined;
    this.#take();
  }

  #send(chunks: readonly Buffer[]): boolean {
    if (!this.#respond(false)) return true;
    let flowing = true;
    for (const chunk of chunks) flowing = this.#stream.write(chunk);
    return flowing;
  }

  /** @returns whether the stream can still be written to */
  #respond(endStream: boolean): boolean {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return false;
    const head = this.#head;
    if (head === undefined) return this.begun;
    this.#head = undefined;
    this.begun = true;
    const { status, headers, framing } = head;
    const fields = fieldsByName(headers, framing.kind === 'none' && status >= 200 && status !== 204);
    if (framing.kind === 'length') fields['content-length'] = String(framing.bytes);
    // Whether there are trailers shows when the content has ended.
    const waitForTrailers = !endStream && framing.kind === 'chunked';
    if (waitForTrailers) {
      stream.once('wantTrailers', () =>
        stream.sendTrailers(this.#trailers === undefined ? {} : fieldsByName(this.#trailers, false)),
      );
    }
    stream.respond({ ':status': status, ...fields }, { endStream, waitForTrailers });
    return true;
  }

  #take(): Buffer[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }
}

/** As Node takes them: one value or a list for each name. */
export function fieldsByName(headers: HeaderList, withLength: boolean): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = Object.create(null) as OutgoingHttpHeaders;
  for (const [name, value] of http2Fields(headers, withLength)) {
    const known = fields[name];
    if (known === undefined) fields[name] = value;
    else fields[name] = Array.isArray(known) ? [...known, value] : [String(known), value];
  }
  return fields;
}
