import { hasCode } from '#base/error';
import { UpError } from './up-error.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** npm hands Ctrl-C on to a process that the terminal has told already. */
const SAME_WITHIN_MS = 500;

export type Interrupts = {
  /** Aborted by the first signal. */
  readonly first: AbortSignal;
  readonly whenFirst: Promise<void>;
  /** Aborted by a later one: whoever sends it does not want to wait. */
  readonly second: AbortSignal;
  /** Stops listening. */
  forget(): void;
};

export function listenForInterrupts(): Interrupts {
  const first = new AbortController();
  const second = new AbortController();
  const { promise: whenFirst, resolve } = Promise.withResolvers<void>();
  let firstMs: number | undefined;
  const heard = (): void => {
    if (firstMs !== undefined) {
      if (performance.now() - firstMs > SAME_WITHIN_MS) second.abort();
      return;
    }
    firstMs = performance.now();
    first.abort();
    resolve();
  };
  for (const signal of SIGNALS) process.on(signal, heard);
  // Whoever read the output is gone.
  process.stdout.on('error', heard);
  return {
    first: first.signal,
    whenFirst,
    second: second.signal,
    forget: () => {
      for (const signal of SIGNALS) process.off(signal, heard);
      process.stdout.off('error', heard);
    },
  };
}

export function isInterrupted(error: unknown): boolean {
  return error instanceof UpError && hasCode(error, 'interrupted');
}
