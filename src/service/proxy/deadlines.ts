import type { Clock } from '#base/clock';

/** Something that waits: for bytes, for a handshake, for a slow peer. */
export interface Timed {
  /** Coarse monotonic time; `Infinity` while nothing is waited for. Set by the owner, as often as it likes. */
  deadlineMs: number;
  /** Called once when the deadline has passed; it is `Infinity` by then. */
  expired(): void;
}

const DEFAULT_TICK_MS = 100;

/**
 * The deadlines of all connections of a process, on one timer.
 *
 * To set one is to write a number, which the hot path does several times a request; one sweep a tick reads them all
 * (10,000 connections: about 50 µs). The price is precision: a deadline fires up to one tick late, never early.
 */
export class Deadlines {
  /** Monotonic time of the last tick: for deadlines, not for durations. */
  nowMs: number;
  readonly #clock: Clock;
  readonly #waiting = new Set<Timed>();
  readonly #timer: NodeJS.Timeout;

  constructor(clock: Clock, tickMs = DEFAULT_TICK_MS) {
    this.#clock = clock;
    this.nowMs = clock.monotonicMs();
    this.#timer = setInterval(() => this.sweep(), tickMs);
    this.#timer.unref();
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(timed: Timed): void {
    this.#waiting.add(timed);
  }

  remove(timed: Timed): void {
    this.#waiting.delete(timed);
  }

  sweep(): void {
    this.nowMs = this.#clock.monotonicMs();
    for (const timed of this.#waiting) {
      if (timed.deadlineMs > this.nowMs) continue;
      timed.deadlineMs = Infinity;
      timed.expired();
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#waiting.clear();
  }
}
