import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { closed, compileSchema, Type } from '#base/schema';
import { startOf } from './process-age.ts';
import { endGroup, isGroupAlive } from './process-group.ts';

const entries = compileSchema(
  'processes.json',
  Type.Array(closed({ pid: Type.Integer({ minimum: 2 }), started: Type.String({ minLength: 1 }) })),
);

/** The process groups that this run has started, on disk. */
export type Roster = {
  /** Called right after the start of a group leader. */
  add(pid: number): Promise<void>;
  /** Forgets all; they have ended. */
  clear(): void;
};

const GRACE_MS = 2000;

/**
 * Ends the process groups that a crashed run with this state directory has left, then starts a new list.
 *
 * @param onLeft told how many were found, before they are ended
 */
export async function openRoster(
  directory: string,
  onLeft: (count: number) => void = () => {},
): Promise<Roster> {
  const path = join(directory, 'processes.json');
  const left: number[] = [];
  for (const { pid, started } of readEntries(path)) {
    // INVARIANT: only processes that we started are ended; the start time tells them from a later user of the id.
    if ((await startOf(pid)) === started) left.push(pid);
  }
  if (left.length > 0) onLeft(left.length);
  await Promise.all(left.map(pid => endGroup(pid, GRACE_MS)));
  rmSync(path, { force: true });

  const running = new Map<number, string>();
  return {
    add: async pid => {
      const started = await startOf(pid);
      if (started === undefined) return;
      for (const former of running.keys()) if (!isGroupAlive(former)) running.delete(former);
      running.set(pid, started);
      writeFileSync(`${path}.new`, JSON.stringify([...running].map(([pid, started]) => ({ pid, started }))), {
        mode: 0o600,
      });
      renameSync(`${path}.new`, path);
    },
    clear: () => {
      running.clear();
      rmSync(path, { force: true });
    },
  };
}

function readEntries(path: string): { pid: number; started: string }[] {
  try {
    return entries.parse(readFileSync(path, 'utf8'));
  } catch {
    return [];
  }
}
