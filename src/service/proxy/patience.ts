import type { Deadlines } from './deadlines.ts';
import type { ProxySettings } from './settings.ts';

/** How long a peer is waited for: it may be silent for a while, and slow on average, but neither for ever. */
export class Patience {
  readonly #settings: ProxySettings;
  readonly #deadlines: Deadlines;
  /** How long we have waited within this exchange, and since when we wait now. */
  #waitedMs = 0;
  #sinceMs = 0;

  constructor(settings: ProxySettings, deadlines: Deadlines) {
    this.#settings = settings;
    this.#deadlines = deadlines;
  }

  /** Begins to wait, or goes on. @param bytes moved so far @returns the deadline */
  await(bytes: number): number {
    const { nowMs } = this.#deadlines;
    if (this.#sinceMs === 0) this.#sinceMs = nowMs;
    const { rateGraceMs, minBytesPerSecond, bodyIdleTimeoutMs } = this.#settings;
    const patienceMs = rateGraceMs + (bytes / minBytesPerSecond) * 1000 - this.#waitedMs;
    return Math.min(nowMs + bodyIdleTimeoutMs, this.#sinceMs + patienceMs);
  }

  stop(): void {
    if (this.#sinceMs === 0) return;
    this.#waitedMs += this.#deadlines.nowMs - this.#sinceMs;
    this.#sinceMs = 0;
  }

  /** For the next exchange. */
  reset(): void {
    this.#waitedMs = 0;
    this.#sinceMs = 0;
  }
}
