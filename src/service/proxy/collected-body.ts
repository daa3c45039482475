const MIN_BYTES = 1024;

/**
 * A body that is read whole before it is used, in one buffer: what is held is bounded by the bytes that came, and not
 * by the number of pieces they came in.
 */
export class CollectedBody {
  readonly maxBytes: number;
  #buffer = Buffer.alloc(0);
  #size = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }

  /** @throws RangeError above `maxBytes` */
  push(chunk: Buffer): void {
    const size = this.#size + chunk.length;
    if (size > this.maxBytes) throw new RangeError('the collected body is above its bound');
    if (size > this.#buffer.length) {
      // Not of the pool: a few bytes would keep a whole slab.
      const grown = Buffer.allocUnsafeSlow(
        Math.min(this.maxBytes, Math.max(MIN_BYTES, size, this.#buffer.length * 2)),
      );
      this.#buffer.copy(grown, 0, 0, this.#size);
      this.#buffer = grown;
    }
    chunk.copy(this.#buffer, this.#size);
    this.#size = size;
  }
}
