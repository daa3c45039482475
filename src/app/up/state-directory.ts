import { mkdir, readdir, realpath, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { CodedError, hasCode } from '#base/error';
import { UpError } from './up-error.ts';

export type StateDirectory = {
  /** With links resolved. */
  readonly path: string;
  /** Removes the directories that were made, as far as they are empty. */
  leave(): Promise<void>;
};

/**
 * Makes a directory and those above it, as far as they are not there, for this user alone.
 *
 * @throws {UpError} `no-state-directory`
 */
export async function makeStateDirectory(path: string): Promise<StateDirectory> {
  const made: string[] = [];
  const leave = async (): Promise<void> => {
    // Innermost first. One that holds something stays, and so do those above it.
    for (const directory of made.toReversed()) if (!(await removeEmpty(directory))) return;
  };
  try {
    for (const directory of await findMissing(resolve(path))) {
      await mkdir(directory, { mode: 0o700 });
      made.push(directory);
    }
    return { path: await realpath(path), leave };
  } catch (error) {
    await leave();
    throw stateFault(path, error);
  }
}

/**
 * Remembers what `directory` holds.
 *
 * @returns removes what has come since, but for `spared`
 */
export async function rememberEntries(
  directory: string,
): Promise<(spared: readonly string[]) => Promise<void>> {
  const before = new Set(await readdir(directory));
  return async spared => {
    const names = await readdir(directory).catch(() => []);
    const added = names.filter(name => !before.has(name) && !spared.includes(name));
    await Promise.all(added.map(async name => rm(join(directory, name), { recursive: true, force: true })));
  };
}

/** A failure of the file system below `directory`, in words that say what to do; any other error as it is. */
export async function asStateFault(directory: string, error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || error instanceof CodedError) return error;
  const real = await realpath(directory).catch(() => directory);
  const { path, address } = error as { path?: unknown; address?: unknown };
  const isBelow = [path, address].some(place => typeof place === 'string' && place.startsWith(real));
  return isBelow || hasCode(error, 'ERR_SQLITE_ERROR') ? stateFault(directory, error) : error;
}

function stateFault(directory: string, error: unknown): UpError {
  const reason = error instanceof Error ? error.message : String(error);
  return new UpError(
    'no-state-directory',
    `${directory} cannot be used as state directory: ${reason}; choose another one with --state`,
    { cause: error },
  );
}

/** Outermost first. Asked one by one: below /proc, Node's own recursive way never ends. */
async function findMissing(path: string): Promise<string[]> {
  if (await isThere(path)) return [];
  return [...(await findMissing(dirname(path))), path];
}

async function isThere(path: string): Promise<boolean> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) throw new Error(`${path} is not a directory`);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function removeEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch {
    return false;
  }
}
