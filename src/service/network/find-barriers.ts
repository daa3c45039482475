import { realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

const OTHERS_READ = 0o4;
const OTHERS_ENTER = 0o1;

/**
 * The directories and files that keep a user without any rights of its own from reading `path`, outermost first; none
 * when there is no such path. Looks at modes; access lists that open more are not counted.
 */
export async function findBarriers(path: string): Promise<string[]> {
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined) return [];
  // A link is reached by its own way first.
  const ways = new Set([...waysTo(resolve(path)), ...waysTo(real)]);
  const barriers = new Set<string>();
  for (const directory of ways) if (!(await allows(directory, OTHERS_ENTER))) barriers.add(directory);
  if (!(await allows(real, OTHERS_READ))) barriers.add(real);
  return [...barriers];
}

/** The directories above `path`, from the root. */
function waysTo(path: string): string[] {
  const above = dirname(path);
  return above === path ? [] : [...waysTo(above), above];
}

async function allows(path: string, wanted: number): Promise<boolean> {
  const found = await stat(path);
  const needed = found.isDirectory() ? wanted | OTHERS_ENTER : wanted;
  return (found.mode & needed) === needed;
}
