const FIRST_MS = 250;
const LONGEST_MS = 30_000;
/** After so long a run the next failure counts as the first. */
const HEALTHY_AFTER_MS = 20_000;

/** How long to wait before a restart: doubles with each failure in a row, up to 30 s. */
export class BackOff {
  #failures = 0;

  /** @param ranForMs how long the process that just ended had been running */
  next(ranForMs: number): number {
    if (ranForMs >= HEALTHY_AFTER_MS) this.#failures = 0;
    const waitMs = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS);
    this.#failures += 1;
    return waitMs;
  }
}
