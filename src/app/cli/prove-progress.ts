import type { Io } from './io.ts';

/** How far a proof is. */
export type ProveProgress = {
  readonly report: (done: number, all: number, phase: string) => void;
  /** Before anything else is printed. */
  readonly end: () => void;
};

const OVERWRITE_EVERY_MS = 100;
const LINE_EVERY_MS = 5_000;
/** What is over before says nothing. */
const PHASE_AFTER_MS = 1_000;
const CLEAR = '\r\u001b[K';

/** On a terminal one line that is written over; elsewhere a line for each phase, and one now and then. */
export function proveProgress(io: Io, nowMs: () => number = () => performance.now()): ProveProgress {
  return io.colour ? overwriting(io, nowMs) : inLines(io, nowMs);
}

function overwriting(io: Io, nowMs: () => number): ProveProgress {
  let shownMs = Number.NEGATIVE_INFINITY;
  return {
    report: (done, all, phase) => {
      if (nowMs() - shownMs < OVERWRITE_EVERY_MS && done < all) return;
      shownMs = nowMs();
      io.err(`${CLEAR}${done}/${all} ${phase}`);
    },
    end: () => io.err(CLEAR),
  };
}

function inLines(io: Io, nowMs: () => number): ProveProgress {
  let shownMs = nowMs();
  const begun = new Set<string>();
  return {
    report: (done, all, phase) => {
      if (nowMs() - shownMs < (begun.has(phase) ? LINE_EVERY_MS : PHASE_AFTER_MS)) return;
      begun.add(phase);
      shownMs = nowMs();
      io.err(`ringwall: ${done} of ${all} attacks made (${phase})\n`);
    },
    end: () => {},
  };
}
