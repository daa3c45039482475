import { crc32 } from 'node:zlib';

/** A numbered line of a segment file, with a checksum over number and payload. */
export type Line = { readonly seq: number; readonly payload: string };

const HEAD = '{"seq":';
const SUM = ',"sum":"';
const PAYLOAD = '","payload":';
const SUM_DIGITS = 8;
const END = '}\n';

/** What a line takes beside its payload, at most. */
export const LINE_BYTES = HEAD.length + 16 + SUM.length + SUM_DIGITS + PAYLOAD.length + END.length;

/**
 * Writes one NDJSON line, with its newline.
 *
 * @param salt ties the line to its log: a line copied from another one does not check
 * @param payload JSON in ASCII without a newline
 * @returns where the line ends in `into`, which must have room for `LINE_BYTES` and the payload
 */
export function writeLine(into: Buffer, at: number, salt: number, seq: number, payload: string): number {
  const number = `${seq}`;
  // The payload first: its sum is taken from its bytes, and stands before it.
  const payloadAt = at + HEAD.length + number.length + SUM.length + SUM_DIGITS + PAYLOAD.length;
  const payloadEnd = payloadAt + into.write(payload, payloadAt, 'latin1');
  const sum = sumOf(salt, number, into.subarray(payloadAt, payloadEnd));
  into.write(`${HEAD}${number}${SUM}${sum}${PAYLOAD}`, at, 'latin1');
  return payloadEnd + into.write(END, payloadEnd, 'latin1');
}

/** Reads a line without its newline; `undefined` when it is torn or changed. */
export function parseLine(salt: number, text: string): Line | undefined {
  const sumAt = text.indexOf(SUM, HEAD.length);
  const payloadAt = sumAt + SUM.length + SUM_DIGITS;
  if (sumAt < 0 || !text.startsWith(HEAD) || !text.startsWith(PAYLOAD, payloadAt) || !text.endsWith('}'))
    return undefined;
  const seq = Number(text.slice(HEAD.length, sumAt));
  const payload = text.slice(payloadAt + PAYLOAD.length, -1);
  if (
    !Number.isSafeInteger(seq) ||
    text.slice(sumAt + SUM.length, payloadAt) !== sumOf(salt, `${seq}`, payload)
  )
    return undefined;
  return { seq, payload };
}

export function saltOf(name: string, epoch: string): number {
  return crc32(`${name}/${epoch}`);
}

function sumOf(salt: number, seq: string, payload: string | Uint8Array): string {
  return crc32(payload, crc32(seq, salt)).toString(16).padStart(SUM_DIGITS, '0');
}
