import { BodyDecoder as Strict, type BodySink } from '../../src/domain/http/body-decoder.ts';

type Parts = ConstructorParameters<typeof Strict>;

/** Repairs chunks, as many servers do, where the real decoder refuses. */
export class BodyDecoder extends Strict {
  readonly #isChunked: boolean;
  #held = Buffer.alloc(0);

  constructor(...parts: Parts) {
    super(...parts);
    this.#isChunked = parts[0].kind === 'chunked';
  }

  override decode(buffer: Buffer, start: number, end: number, sink: BodySink): number {
    if (!this.#isChunked || this.ended) return super.decode(buffer, start, end, sink);
    const former = this.#held.length;
    this.#held = Buffer.concat([this.#held, buffer.subarray(start, end)]);
    const read = readChunks(this.#held.toString('latin1'));
    if (read === undefined) return end - start;
    const repaired = Buffer.from(
      read.content === ''
        ? '0\r\n\r\n'
        : `${read.content.length.toString(16)}\r\n${read.content}\r\n0\r\n\r\n`,
      'latin1',
    );
    super.decode(repaired, 0, repaired.length, sink);
    return read.length - former;
  }
}

/** A chunk is its size, in whatever spelling, and ends with its line; `undefined` as long as the last has not come. */
function readChunks(text: string): { readonly content: string; readonly length: number } | undefined {
  let content = '';
  for (let at = 0; ;) {
    const line = lineFrom(text, at);
    if (line === undefined) return undefined;
    const size = Number(readNumber(line.text, 16));
    if (size === 0) {
      const last = lineFrom(text, line.end);
      return last === undefined ? undefined : { content, length: last.end };
    }
    const rest = lineFrom(text, line.end + size);
    if (rest === undefined) return undefined;
    content += text.slice(line.end, line.end + size);
    at = rest.end;
  }
}

/** To the next CRLF; where there is none, to the next LF. */
function lineFrom(text: string, at: number): { readonly text: string; readonly end: number } | undefined {
  for (const ending of ['\r\n', '\n']) {
    const found = text.indexOf(ending, at);
    if (found !== -1) return { text: text.slice(at, found), end: found + ending.length };
  }
  return undefined;
}

/** The first number in `text`, with or without sign and 0x, as 64 bits hold it. */
export function readNumber(text: string, base: 10 | 16): bigint {
  const [, prefix, digits = '0'] = /(0x)?([0-9a-f]+)/i.exec(text) ?? [];
  return BigInt.asUintN(64, BigInt(base === 16 || prefix !== undefined ? `0x${digits}` : digits));
}
