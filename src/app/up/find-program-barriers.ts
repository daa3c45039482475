import { dirname, resolve } from 'node:path';
import { findBarriers } from '#service/network';
import { findProgram } from './find-program.ts';

/** What keeps a user without any rights of its own from running `command` in `directory`, outermost first. */
export async function findProgramBarriers(options: {
  readonly command: readonly string[];
  readonly directory: string;
  /** Where programs are looked for, as the variable PATH has it. */
  readonly path: string;
  readonly stateDirectory: string;
}): Promise<string[]> {
  const { command, directory, path, stateDirectory } = options;
  const [program = '', ...words] = command;
  const files = [
    directory,
    // The state directory itself is given another face; what is above it is not.
    dirname(stateDirectory),
    findProgram(program, { directory, path }),
    ...words.map(word => resolve(directory, word)),
  ];
  const found = await Promise.all(files.map(async file => (file === undefined ? [] : findBarriers(file))));
  return [...new Set(found.flat())].sort((a, b) => a.length - b.length);
}
