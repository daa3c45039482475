import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { closed, compileSchema, Type } from '#base/schema';
import { hasCode } from '#base/error';
import { startOf } from './process-age.ts';
import { SuperviseError } from './supervise-error.ts';

const holder = compileSchema(
  'lock file',
  closed({ pid: Type.Integer({ minimum: 1 }), started: Type.String() }),
);

export type StateClaim = { release(): Promise<void> };

/**
 * Makes this process the only one that uses a state directory. A claim whose process is gone does not count.
 *
 * @throws {SuperviseError} `state-in-use`, naming the process
 */
export async function claimState(directory: string): Promise<StateClaim> {
  const path = join(directory, 'lock');
  const mine = JSON.stringify({ pid: process.pid, started: (await startOf(process.pid)) ?? '' });
  const ATTEMPTS = 3;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (await create(path, mine)) {
      return {
        release: async () => {
          if ((await read(path)) === mine) await rm(path, { force: true });
        },
      };
    }
    const theirs = await read(path);
    const pid = await livingHolder(theirs);
    if (pid !== undefined) {
      throw new SuperviseError(
        'state-in-use',
        `${directory} is used by another \`ringwall up\` (process ${pid})`,
      );
    }
    // Only the very claim that was found dead is removed: another process may have been as quick.
    if ((await read(path)) === theirs) await rm(path, { force: true });
  }
  throw new SuperviseError('state-in-use', `${directory} is being claimed by another \`ringwall up\``);
}

async function create(path: string, content: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(content);
    await file.close();
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
}

async function livingHolder(content: string): Promise<number | undefined> {
  try {
    const { pid, started } = holder.parse(content);
    return (await startOf(pid)) === started ? pid : undefined;
  } catch {
    // CRASH: a lock file cut short belongs to a process that died while it wrote.
    return undefined;
  }
}
