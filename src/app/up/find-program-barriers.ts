import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { findBarriers } from '#service/network';

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
    program.includes('/') ? resolve(directory, program) : findProgram(program, path),
    ...words.map(word => resolve(directory, word)),
  ];
  const found = await Promise.all(files.map(async file => (file === undefined ? [] : findBarriers(file))));
  return [...new Set(found.flat())].sort((a, b) => a.length - b.length);
}

function findProgram(name: string, path: string): string | undefined {
  return path
    .split(':')
    .map(folder => join(folder, name))
    .find(file => existsSync(file));
}
