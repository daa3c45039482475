import { quote } from '#base/error';
import { ControlError } from '#service/control-client';
import type { PointTiming, RolloutOutcome, ServiceChanges } from '#service/control';
import { reportControlFailure } from './control-failure.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { paint } from './paint.ts';

export type Rollout = Extract<RolloutOutcome, { kind: 'done' }>;

/**
 * Makes a change of the running system and prints how far it came: the time to the last point, or which points do not
 * have it.
 *
 * @param words.done what is true at the points that have it: `payment cut off`
 * @param words.already what is said when it was so already
 * @param words.refused what is said after control's reason not to
 */
export async function printRollout(
  io: Io,
  options: { readonly json?: true },
  words: { readonly done: string; readonly already: string; readonly refused?: string },
  change: () => Promise<Rollout>,
): Promise<ExitCode> {
  let rollout: Rollout;
  try {
    rollout = await change();
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    const code = reportControlFailure(io, error);
    if (error.code === 'refused' && words.refused !== undefined) io.err(`${words.refused}\n`);
    return code;
  }
  const missing = rollout.points.filter(({ state }) => state !== 'applied');
  const reached = rollout.points.length - missing.length;
  if (options.json === true) {
    io.out(`${JSON.stringify(rollout, null, 2)}\n`);
  } else {
    const what = rollout.changed ? words.done : words.already;
    const where = missing.length === 0 ? points(reached) : `${reached} of ${points(rollout.points.length)}`;
    io.out(`${what} at ${where} in ${lastPointMs(rollout)} ms\n`);
    for (const point of missing) io.out(`  ${paint(io, 'yellow', point.point)} ${describe(point)}\n`);
    if (rollout.services !== undefined) printServices(io, rollout.services);
  }
  const isWhole = missing.length === 0 && (rollout.services?.faults.length ?? 0) === 0;
  return isWhole ? EXIT.ok : EXIT.negative;
}

function printServices(io: Io, { ended, faults, restarted, started }: ServiceChanges): void {
  for (const [what, names] of [
    ['started', started],
    ['started anew', restarted],
    ['ended', ended],
  ] as const) {
    if (names.length > 0) io.out(`  ${what}: ${names.join(', ')}\n`);
  }
  for (const fault of faults) io.out(`  ${paint(io, 'red', fault)}\n`);
}

function points(count: number): string {
  return count === 1 ? '1 point' : `${count} points`;
}

function lastPointMs({ points, tookMs }: Rollout): number {
  const times = points.flatMap(point => (point.tookMs === undefined ? [] : [point.tookMs]));
  return Math.ceil(times.length === 0 ? tookMs : Math.max(...times));
}

function describe({ message, state }: PointTiming): string {
  switch (state) {
    case 'rejected':
      return `rejects it: ${quote(message ?? '')}`;
    case 'lagging':
      return 'has not applied it yet';
    case 'disconnected':
      return 'is not connected; it gets it when it returns';
    case 'applied':
      return 'has it';
  }
}
