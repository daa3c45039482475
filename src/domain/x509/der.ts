import { CodedError } from '#base/error';

/** `damaged`: the bytes are not the DER (X.690 §10) that was expected there. */
export class DerError extends CodedError<'damaged'> {}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
} as const;

/** One element: its tag, and where its content lies in `bytes`. */
export type DerElement = { readonly tag: number; readonly start: number; readonly end: number };

/**
 * Reads DER elements one after another out of a range of bytes. Only definite lengths in their shortest form and
 * one-byte tags, which is all that X.509 uses.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.byteLength) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  /** @throws {DerError} */
  next(): DerElement {
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw new DerError('damaged', 'long tags do not occur in a certificate');
    const length = this.#length();
    const start = this.#at;
    if (length > this.#end - start) throw new DerError('damaged', 'an element is longer than what holds it');
    this.#at = start + length;
    return { tag, start, end: this.#at };
  }

  /** @throws {DerError} when the next element has another tag */
  take(tag: number): DerElement {
    const element = this.next();
    if (element.tag !== tag) throw new DerError('damaged', `expected tag ${tag}, found ${element.tag}`);
    return element;
  }

  /** The next element when it has this tag; else nothing is read. */
  takeIf(tag: number): DerElement | undefined {
    return !this.atEnd && this.#bytes[this.#at] === tag ? this.next() : undefined;
  }

  /** A reader of what `element` holds. */
  inside(element: DerElement): DerReader {
    return new DerReader(this.#bytes, element.start, element.end);
  }

  contentOf(element: DerElement): Uint8Array {
    return this.#bytes.subarray(element.start, element.end);
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    // Three bytes of length are 16 MiB; X.690 §8.1.3.6's indefinite form (count 0) is not DER.
    if (count === 0 || count > 3) throw new DerError('damaged', 'a length has no DER form');
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1))
      throw new DerError('damaged', 'a length is not in its shortest form');
    return length;
  }

  #byte(): number {
    const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
    if (byte === undefined) throw new DerError('damaged', 'the bytes end inside of an element');
    this.#at += 1;
    return byte;
  }
}

/** Writes one element around the joined `contents`. */
export function encodeDer(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return Buffer.concat([Buffer.from([tag]), encodeLength(length), ...contents]);
}

function encodeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}
