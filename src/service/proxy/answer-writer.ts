/** Where an answer's bytes go. */
export interface ByteSink {
  /** @returns whether more may be written now */
  write(part: string | Buffer): boolean;
}

type Part = string | Buffer;

// Copying below this size is cheaper than a second record and a second system call.
const JOIN_BELOW_BYTES = 32_768;

/**
 * Collects an answer and writes it in as few pieces as it can.
 *
 * In durable mode it holds the answer back: all of it up to `holdBytes`, and of a longer one always the last part of its
 * content and what frames it, so that no caller has the whole content before `end` is called.
 */
export class AnswerWriter {
  /** Whether bytes have left: from here on the answer cannot be replaced by another. */
  begun = false;
  readonly #sink: ByteSink;
  #holdBytes = 0;
  #parts: Part[] = [];
  #bytes = 0;
  /** Where in `#parts` the last content stands. */
  #lastContent = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** @param holdBytes 0 holds nothing back */
  hold(holdBytes: number): void {
    this.#holdBytes = holdBytes;
  }

  /** The head, or what frames the content. */
  push(text: string): void {
    this.#parts.push(text);
    this.#bytes += text.length;
  }

  pushContent(chunk: Buffer): void {
    this.#lastContent = this.#parts.length;
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Writes what may leave now. @returns whether the caller keeps up */
  flush(): boolean {
    if (this.#parts.length === 0) return true;
    if (this.#holdBytes === 0) return this.#write(this.#take());
    if (!this.begun && this.#bytes <= this.#holdBytes) return true;
    const held = this.#parts.splice(this.#lastContent);
    const parts = this.#take();
    this.#parts = held;
    for (const part of held) this.#bytes += part.length;
    return parts.length === 0 || this.#write(parts);
  }

  end(): void {
    if (this.#parts.length > 0) this.#write(this.#take());
  }

  /** Forgets what has not left. */
  clear(): void {
    this.#take();
  }

  #take(): Part[] {
    const parts = this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    this.#lastContent = 0;
    return parts;
  }

  #write(parts: Part[]): boolean {
    this.begun = true;
    const [first] = parts;
    if (parts.length === 1 && first !== undefined) return this.#sink.write(first);
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    if (bytes <= JOIN_BELOW_BYTES) return this.#sink.write(join(parts, bytes));
    let flowing = true;
    for (const part of parts) flowing = this.#sink.write(part);
    return flowing;
  }
}

function join(parts: readonly Part[], bytes: number): Buffer {
  const joined = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const part of parts) {
    at += typeof part === 'string' ? joined.write(part, at, 'latin1') : part.copy(joined, at);
  }
  return joined;
}
