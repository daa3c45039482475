import { randomInt } from 'node:crypto';

/** Waiting times between attempts: doubling, with full jitter, so that the points of a fleet do not come back at once. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #ceilingMs: number;

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#ceilingMs = firstMs;
  }

  nextMs(): number {
    const waitMs = randomInt(Math.floor(this.#firstMs / 2), this.#ceilingMs + 1);
    this.#ceilingMs = Math.min(this.#ceilingMs * 2, this.#maxMs);
    return waitMs;
  }

  /** The last attempt went well. */
  reset(): void {
    this.#ceilingMs = this.#firstMs;
  }
}
