import type { Clock } from './clock.ts';

/** A clock that moves only when told to. */
export class FakeClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;

  constructor(nowMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs;
  }

  readonly nowMs = (): number => this.#nowMs;
  readonly monotonicMs = (): number => this.#monotonicMs;

  advance(byMs: number): void {
    this.#nowMs += byMs;
    this.#monotonicMs += byMs;
  }

  /** Sets the wall clock as an operator or NTP would: the monotonic time does not follow. */
  jump(toMs: number): void {
    this.#nowMs = toMs;
  }
}
