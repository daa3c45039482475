import type { RecordOrigin } from '#domain/record';
import { peekOrigin } from './batch.ts';

type Head = { readonly head: Buffer; readonly point: string; readonly epoch: string };

const TAIL = Buffer.from(',"record":{');
const ZERO = 48;
const MAX_DIGITS = 15;
/** One for each point that runs, and some that have ended. */
const HEADS_KEPT = 64;

/**
 * Gives the origins of records as `peekOrigin` does, fast where many are of few epochs: all that differs in the heads
 * of an epoch's entries is a number.
 */
export class OriginReader {
  /** The newest first. */
  readonly #heads: Head[] = [];

  /** The origin of the entry from `from` up to `to`; `undefined` when it is no record. */
  read(bytes: Buffer, from = 0, to = bytes.byteLength): RecordOrigin | undefined {
    for (const { epoch, head, point } of this.#heads) {
      if (!hasAt(bytes, head, from, to)) continue;
      const seq = readNumber(bytes, from + head.byteLength, to);
      if (seq !== undefined) return { point, epoch, seq };
    }
    return this.#readNew(bytes.subarray(from, to));
  }

  #readNew(entry: Buffer): RecordOrigin | undefined {
    const origin = peekOrigin(entry);
    if (origin === undefined) return undefined;
    const { epoch, point, seq } = origin;
    const end = entry.indexOf(TAIL) - String(seq).length;
    this.#heads.unshift({ head: Buffer.from(entry.subarray(0, end)), point, epoch });
    if (this.#heads.length > HEADS_KEPT) this.#heads.pop();
    return origin;
  }
}

/** A number without leading zeros, and behind it what follows it in a record. */
function readNumber(bytes: Buffer, from: number, to: number): number | undefined {
  let value = 0;
  let end = from;
  for (;;) {
    const digit = (bytes[end] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
    end += 1;
  }
  const whole = end > from && end - from <= MAX_DIGITS && bytes[from] !== ZERO;
  return whole && hasAt(bytes, TAIL, end, to) ? value : undefined;
}

/** As `compare`, without leaving the language: most calls look at a few dozen bytes. */
function hasAt(bytes: Buffer, part: Buffer, from: number, to: number): boolean {
  if (from + part.length > to) return false;
  for (let at = part.length - 1; at >= 0; at -= 1) if (bytes[from + at] !== part[at]) return false;
  return true;
}
