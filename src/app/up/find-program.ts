import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * The file that is run when a command begins with `name`, as a shell finds it; `undefined` when there is none.
 *
 * @param where.path as the variable PATH has it
 */
export function findProgram(
  name: string,
  { directory, path }: { readonly directory: string; readonly path: string },
): string | undefined {
  const candidates = name.includes('/')
    ? [resolve(directory, name)]
    : path.split(':').map(folder => join(resolve(directory, folder), name));
  return candidates.find(canBeRun);
}

function canBeRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
