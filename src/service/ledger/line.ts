import { crc32 } from 'node:zlib';

/** A numbered line of a segment file, with a checksum over number and payload. */
export type Line = { readonly seq: number; readonly payload: string };

const HEAD = '{"seq":';
const SUM = ',"sum":"';
const PAYLOAD = '","payload":';
const SUM_DIGITS = 8;

/**
 * Writes one NDJSON line, with its newline.
 *
 * @param salt ties the line to its log: a line copied from another one does not check
 * @param payload JSON in ASCII without a newline
 */
export function formatLine(salt: number, seq: number, payload: string): string {
  return `${HEAD}${seq}${SUM}${sumOf(salt, seq, payload)}${PAYLOAD}${payload}}\n`;
}

/** Reads a line without its newline; `undefined` when it is torn or changed. */
export function parseLine(salt: number, text: string): Line | undefined {
  const sumAt = text.indexOf(SUM, HEAD.length);
  const payloadAt = sumAt + SUM.length + SUM_DIGITS;
  if (sumAt < 0 || !text.startsWith(HEAD) || !text.startsWith(PAYLOAD, payloadAt) || !text.endsWith('}'))
    return undefined;
  const seq = Number(text.slice(HEAD.length, sumAt));
  const payload = text.slice(payloadAt + PAYLOAD.length, -1);
  if (!Number.isSafeInteger(seq) || text.slice(sumAt + SUM.length, payloadAt) !== sumOf(salt, seq, payload))
    return undefined;
  return { seq, payload };
}

export function saltOf(name: string, epoch: string): number {
  return crc32(`${name}/${epoch}`);
}

function sumOf(salt: number, seq: number, payload: string): string {
  return crc32(payload, crc32(`${seq}`, salt))
    .toString(16)
    .padStart(SUM_DIGITS, '0');
}
