export type Clock = {
  /** Milliseconds since 1970-01-01T00:00:00Z. May jump when the machine's time is set. */
  readonly nowMs: () => number;
  /** Milliseconds since an arbitrary start, with fractions; never goes back. For durations and limits. */
  readonly monotonicMs: () => number;
};

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
