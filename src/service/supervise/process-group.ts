import { hasCode } from '#base/error';

/** Sends a signal to a process and everything that it started in its group. */
function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}

/** Ends a group at once; for when there is no time to ask. */
export function killGroup(leader: number): void {
  signalGroup(leader, 'SIGKILL');
}

export function isGroupAlive(leader: number): boolean {
  try {
    process.kill(-leader, 0);
    return true;
  } catch (error) {
    // EPERM: alive, under another user.
    return hasCode(error, 'EPERM');
  }
}

/**
 * Asks a group to end and kills what has not after `graceMs`.
 *
 * @returns once no process of the group is left
 */
export async function endGroup(leader: number, graceMs: number): Promise<void> {
  signalGroup(leader, 'SIGTERM');
  if (await isGone(leader, graceMs)) return;
  signalGroup(leader, 'SIGKILL');
  await isGone(leader, KILL_TAKES_MS);
}

const KILL_TAKES_MS = 5000;
const POLL_MS = 15;

async function isGone(leader: number, withinMs: number): Promise<boolean> {
  const end = performance.now() + withinMs;
  while (isGroupAlive(leader)) {
    if (performance.now() > end) return false;
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
  return true;
}
