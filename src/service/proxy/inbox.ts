const NOTHING = Buffer.alloc(0);
const LF = 0x0a;

/**
 * Bytes that were read from a socket and not yet understood.
 *
 * The usual case, one chunk that is used up at once, costs nothing: the chunk is kept as it came. Only what trickles in
 * is copied, into a buffer that doubles, so that a peer which sends single bytes cannot make us copy its head again and
 * again. The owner bounds the size: it stops reading, or its decoder refuses what is too long.
 */
export class Inbox {
  bytes: Buffer = NOTHING;
  start = 0;
  end = 0;
  #owned = false;
  #searchedTo = 0;

  get size(): number {
    return this.end - this.start;
  }

  push(chunk: Buffer): void {
    if (this.start === this.end) {
      this.bytes = chunk;
      this.start = 0;
      this.end = chunk.length;
      this.#owned = false;
      this.#searchedTo = 0;
      return;
    }
    const size = this.size;
    if (!this.#owned || this.end + chunk.length > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(1024, (size + chunk.length) * 2));
      this.bytes.copy(grown, 0, this.start, this.end);
      this.#searchedTo = Math.max(0, this.#searchedTo - this.start);
      this.bytes = grown;
      this.start = 0;
      this.end = size;
      this.#owned = true;
    }
    chunk.copy(this.bytes, this.end);
    this.end += chunk.length;
  }

  consume(count: number): void {
    this.start += count;
    // What follows begins anew.
    this.#searchedTo = this.start;
    if (this.start >= this.end) this.clear();
  }

  clear(): void {
    // Dropping the chunk lets it be collected while the connection is idle.
    this.bytes = NOTHING;
    this.start = 0;
    this.end = 0;
    this.#owned = false;
    this.#searchedTo = 0;
  }

  /**
   * Whether to decode a head again can find anything new: a line has ended since the last question, or the one that has
   * not is longer than `maxLineBytes`.
   */
  hasNews(maxLineBytes: number): boolean {
    const lineEnd = this.bytes.lastIndexOf(LF, this.end - 1);
    const isNew = lineEnd >= Math.max(this.start, this.#searchedTo);
    this.#searchedTo = this.end;
    return isNew || this.end - Math.max(this.start, lineEnd + 1) > maxLineBytes;
  }
}
