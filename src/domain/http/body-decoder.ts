import { HttpError, type HttpFault } from './fault.ts';
import { FieldSection, octetFault } from './field-section.ts';
import type { Framing } from './framing.ts';
import type { HeaderList } from './header-list.ts';
import type { HttpLimits } from './limits.ts';
import { CR, LF, TOKEN } from './octets.ts';
import { isTrailerName } from './untrusted.ts';

export type BodySink = {
  /** @param chunk a view into the decoded buffer: copy it to keep it */
  readonly data: (chunk: Buffer) => void;
};

type State =
  | 'ended'
  | 'length'
  | 'until-close'
  | 'chunk-size'
  | 'extension-name'
  | 'extension-value'
  | 'extension-quoted'
  | 'extension-escaped'
  | 'extension-after-quoted'
  | 'chunk-size-lf'
  | 'chunk-data'
  | 'chunk-data-cr'
  | 'chunk-data-lf'
  | 'trailers';

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** 13 hexadecimal digits stay below 2^53. */
const MAX_SIZE_DIGITS = 13;
/** Extensions carry no content: a body may have this many full lines of them (CVE-2024-22019). */
const MAX_EXTENSION_LINES = 16;

/** Finds the end of one body and hands on its content (RFC 9112 §6, §7). A fault is final. */
export class BodyDecoder {
  readonly #limits: HttpLimits;
  #state: State;
  /** Bytes of content that are still to come, of the body or of the current chunk. */
  #remaining = 0;
  #sizeDigits = 0;
  /** Of the current name or value of an extension. */
  #tokenBytes = 0;
  #lineBytes = 0;
  #extensionBytes = 0;
  /** The start of a trailer section of which the end has not come. */
  #held: Buffer | undefined;
  #bytes = 0;
  #trailers: HeaderList | undefined;
  #fault: HttpFault | undefined;

  constructor(framing: Framing, limits: HttpLimits) {
    this.#limits = limits;
    switch (framing.kind) {
      case 'none':
        this.#state = 'ended';
        break;
      case 'length':
        this.#remaining = framing.bytes;
        this.#state = framing.bytes === 0 ? 'ended' : 'length';
        break;
      case 'chunked':
        this.#state = 'chunk-size';
        break;
      case 'until-close':
        this.#state = 'until-close';
    }
  }

  /** Whether the body is complete. */
  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** Of a chunked body that has ended, where there are any. */
  get trailers(): HeaderList | undefined {
    return this.#trailers;
  }

  /** Content so far, without framing. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes what belongs to this body from `buffer[start, end)`.
   *
   * @returns how many bytes were taken; less than all only when the body has ended
   * @throws {HttpError}
   */
  decode(buffer: Buffer, start: number, end: number, sink: BodySink): number {
    // UNTRUSTED: buffer
    if (this.#fault !== undefined) throw new HttpError(this.#fault);
    if (this.#state === 'ended') return 0;
    if (this.#state === 'length') {
      const taken = this.#takeContent(buffer, start, end, sink);
      if (this.#remaining === 0) this.#state = 'ended';
      return taken;
    }
    if (this.#state !== 'until-close') return this.#decodeChunked(buffer, start, end, sink) - start;
    this.#bytes += end - start;
    if (end > start) sink.data(view(buffer, start, end));
    return end - start;
  }

  /** The connection was closed by the peer. @throws {HttpError} `body-cut-short` unless the body may end so */
  finish(): void {
    if (this.#state !== 'ended' && this.#state !== 'until-close') throw new HttpError('body-cut-short');
    this.#state = 'ended';
  }

  #takeContent(buffer: Buffer, start: number, end: number, sink: BodySink): number {
    const taken = Math.min(end - start, this.#remaining);
    this.#remaining -= taken;
    this.#bytes += taken;
    if (taken > 0) sink.data(view(buffer, start, start + taken));
    return taken;
  }

  #decodeChunked(buffer: Buffer, start: number, end: number, sink: BodySink): number {
    let at = start;
    while (at < end) {
      const code = buffer[at]!;
      switch (this.#state) {
        case 'chunk-size':
          this.#readSize(code);
          at++;
          break;
        case 'extension-name':
        case 'extension-value':
        case 'extension-quoted':
        case 'extension-escaped':
        case 'extension-after-quoted':
          this.#readExtension(code);
          at++;
          break;
        case 'chunk-size-lf':
          if (code !== LF) this.#fail('bare-cr');
          this.#state = this.#remaining === 0 ? 'trailers' : 'chunk-data';
          at++;
          break;
        case 'chunk-data':
          at += this.#takeContent(buffer, at, end, sink);
          if (this.#remaining === 0) this.#state = 'chunk-data-cr';
          break;
        case 'chunk-data-cr':
          if (code !== CR) this.#fail(code === LF ? 'bare-lf' : 'bad-chunk-end');
          this.#state = 'chunk-data-lf';
          at++;
          break;
        case 'chunk-data-lf':
          if (code !== LF) this.#fail('bare-cr');
          this.#startChunk();
          at++;
          break;
        case 'trailers':
          return this.#readTrailers(buffer, at, end);
        case 'ended':
        case 'length':
        case 'until-close':
          return at;
      }
    }
    return at;
  }

  #startChunk(): void {
    this.#state = 'chunk-size';
    this.#sizeDigits = 0;
    this.#lineBytes = 0;
  }

  #readSize(code: number): void {
    const digit = hexValue(code);
    if (digit >= 0) {
      if (++this.#sizeDigits > MAX_SIZE_DIGITS) this.#fail('bad-chunk-size');
      this.#remaining = this.#remaining * 16 + digit;
    } else if (this.#sizeDigits > 0 && code === CR) {
      this.#state = 'chunk-size-lf';
    } else if (this.#sizeDigits > 0 && code === SEMICOLON) {
      this.#beginExtension();
    } else {
      this.#fail(code === LF ? 'bare-lf' : 'bad-chunk-size');
    }
  }

  #beginExtension(): void {
    this.#state = 'extension-name';
    this.#tokenBytes = 0;
    this.#countExtensionByte();
  }

  /** RFC 9112 §7.1.1, without the optional whitespace, which only confuses: `;name`, `;name=token`, `;name="text"`. */
  #readExtension(code: number): void {
    this.#countExtensionByte();
    if (this.#state === 'extension-quoted') {
      if (code === QUOTE) this.#state = 'extension-after-quoted';
      else if (code === BACKSLASH) this.#state = 'extension-escaped';
      else if (!isQuotable(code)) this.#fail(extensionFault(code));
    } else if (this.#state === 'extension-escaped') {
      if (!isQuotable(code)) this.#fail(extensionFault(code));
      this.#state = 'extension-quoted';
    } else if (this.#state !== 'extension-after-quoted' && TOKEN[code] !== 0) {
      this.#tokenBytes++;
    } else if (this.#state === 'extension-value' && this.#tokenBytes === 0 && code === QUOTE) {
      this.#state = 'extension-quoted';
    } else if (this.#state !== 'extension-after-quoted' && this.#tokenBytes === 0) {
      this.#fail(extensionFault(code));
    } else if (this.#state === 'extension-name' && code === EQUALS) {
      this.#state = 'extension-value';
      this.#tokenBytes = 0;
    } else if (code === SEMICOLON) {
      this.#beginExtension();
    } else if (code === CR) {
      this.#state = 'chunk-size-lf';
    } else {
      this.#fail(extensionFault(code));
    }
  }

  #countExtensionByte(): void {
    const { maxChunkLineBytes } = this.#limits;
    if (++this.#lineBytes > maxChunkLineBytes) this.#fail('chunk-line-too-long');
    if (++this.#extensionBytes > MAX_EXTENSION_LINES * maxChunkLineBytes) this.#fail('chunk-line-too-long');
  }

  #readTrailers(buffer: Buffer, start: number, end: number): number {
    const { maxTrailerBytes } = this.#limits;
    const held = this.#held?.length ?? 0;
    const taken = Math.min(end - start, maxTrailerBytes - held);
    const fresh = view(buffer, start, start + taken);
    const section = this.#held === undefined ? fresh : Buffer.concat([this.#held, fresh]);

    const fields = new FieldSection('request', this.#limits);
    const outcome = fields.read(section, section.toString('latin1'), 0, 0, section.length);
    if (outcome === 'incomplete') {
      if (section.length === maxTrailerBytes) this.#fail('trailers-too-large');
      this.#held = Buffer.from(section);
      return end;
    }
    if (outcome !== 'read') this.#fail(outcome);
    const { headers } = fields;
    for (const [name] of headers.entries()) if (!isTrailerName(name)) this.#fail('forbidden-trailer');
    this.#trailers = headers.size === 0 ? undefined : headers;
    this.#held = undefined;
    this.#state = 'ended';
    return start + fields.end - held;
  }

  #fail(fault: HttpFault): never {
    this.#fault = fault;
    throw new HttpError(fault);
  }
}

function view(buffer: Buffer, start: number, end: number): Buffer {
  return start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end);
}

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** qdtext and what may follow a backslash, without obs-text (RFC 9110 §5.6.4). */
function isQuotable(code: number): boolean {
  return (code >= 0x20 && code <= 0x7e) || code === 0x09;
}

function extensionFault(code: number): HttpFault {
  return code !== CR && (code < 0x20 || code >= 0x7f) ? octetFault(code) : 'bad-chunk-extension';
}
