import { systemClock } from '#base/clock';
import { CodedError } from '#base/error';
import { isInterrupted, listenForInterrupts } from './interrupts.ts';
import { createProgress } from './progress.ts';
import { startSystem, type System, type SystemOptions } from './start-system.ts';
import { describeSystem } from './describe-system.ts';

export type UpOptions = Pick<
  SystemOptions,
  'source' | 'model' | 'withoutRun' | 'edgePort' | 'sharedNetworkBecause'
> & {
  readonly stateDirectory: string;
  /** The state directory as commands of the same folder would name it; `undefined` when it is the default. */
  readonly stateOption: string | undefined;
  readonly environment: SystemOptions['environment'];
  /** Progress is for people. */
  readonly write: (text: string) => void;
  /** The answer: where everything is. */
  readonly writeAnswer: (text: string) => void;
  readonly json: boolean;
  readonly isTerminal: boolean;
};

/** After a second signal processes are killed; what then still lasts is given up. */
const FORCE_AFTER_MS = 3000;

export type UpOutcome =
  /** It was up, and ended when it was told to. */
  | { readonly kind: 'ended' }
  /** It was told to end before it was up; nothing is left of it. */
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'failed'; readonly error: CodedError };

/** Brings a system up, keeps it up until a signal comes, and takes it down. A second signal ends it at once. */
export async function runUp(options: UpOptions): Promise<UpOutcome> {
  const startedMs = systemClock.monotonicMs();
  const elapsedMs = () => systemClock.monotonicMs() - startedMs;
  const progress = createProgress({ write: options.write, isTerminal: options.isTerminal, elapsedMs });
  const interrupts = listenForInterrupts();
  interrupts.second.addEventListener('abort', () => {
    setTimeout(() => process.exit(1), FORCE_AFTER_MS).unref();
  });
  try {
    progress.working('starting');
    const system = await startSystem({
      ...options,
      progress,
      signal: interrupts.first,
      hurry: interrupts.second,
      clock: systemClock,
    });
    progress.end();
    options.writeAnswer(
      options.json
        ? `${JSON.stringify(system.ready)}\n`
        : describeSystem(options.model, system.ready, {
            elapsedMs: elapsedMs(),
            stateOption: options.stateOption,
          }),
    );
    await interrupts.whenFirst;
    await takeDown(system, options);
    return { kind: 'ended' };
  } catch (error) {
    progress.end();
    if (isInterrupted(error)) return { kind: 'interrupted' };
    if (error instanceof CodedError) return { kind: 'failed', error };
    throw error;
  } finally {
    interrupts.forget();
  }
}

async function takeDown(system: System, options: UpOptions): Promise<void> {
  options.write('\nending; requests in flight are answered first (again to end at once)\n');
  await system.close();
  options.write(`${options.model.system} is down\n`);
}
