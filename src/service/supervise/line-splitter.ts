const MAX_LINE_BYTES = 8192;
const NEWLINE = 0x0a;

/** Cuts a byte stream into lines; a line that is too long goes on as further lines. */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0);
  readonly #onLine: (line: string) => void;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  write(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#emit(chunk.subarray(start, end));
      start = end + 1;
    }
    this.#rest = Buffer.concat([this.#rest, chunk.subarray(start)]);
    while (this.#rest.length > MAX_LINE_BYTES) {
      this.#onLine(this.#rest.toString('utf8', 0, MAX_LINE_BYTES));
      this.#rest = this.#rest.subarray(MAX_LINE_BYTES);
    }
  }

  end(): void {
    if (this.#rest.length > 0) this.#emit(Buffer.alloc(0));
  }

  #emit(end: Buffer): void {
    const line = this.#rest.length === 0 ? end : Buffer.concat([this.#rest, end]);
    this.#rest = Buffer.alloc(0);
    for (let at = 0; at === 0 || at < line.length; at += MAX_LINE_BYTES) {
      this.#onLine(line.toString('utf8', at, at + MAX_LINE_BYTES));
    }
  }
}
