import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { hasCode, quote } from '#base/error';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { STARTER_MODEL } from './starter-model.ts';

/** `ringwall init [FILE]`: writes a commented first model. */
export function initCommand(io: Io, finish: Finish): Command {
  return new Command('init')
    .description('write a commented first model')
    .argument('[file]', 'where to write it', 'ringwall.yaml')
    .option('--force', 'overwrite the file when it exists')
    .addHelpText(
      'after',
      `
Examples:
  ringwall init
  ringwall init deploy/ringwall.yaml
  ringwall init && ringwall check && ringwall up --stand-ins

To start from Kubernetes manifests or a compose file: ringwall import --help.`,
    )
    .action(async (file: string, options: { force?: true }) => {
      finish(await init(io, file, options.force === true ? 'w' : 'wx'));
    });
}

/** @param flag `wx` leaves an existing file alone, also one that appears in this moment */
async function init(io: Io, file: string, flag: 'w' | 'wx'): Promise<ExitCode> {
  try {
    await writeFile(resolve(io.cwd, file), STARTER_MODEL, { flag });
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    io.err(`ringwall: ${refusal(error, file)}\n`);
    return EXIT.cannotCreate;
  }
  io.out(`wrote ${file}\nnext: ringwall check ${file}\n      ringwall up ${file} --stand-ins\n`);
  return EXIT.ok;
}

function refusal(error: Error, file: string): string {
  if (hasCode(error, 'EEXIST'))
    return `${quote(file)} exists; overwrite it with --force, or name another file`;
  if (hasCode(error, 'ENOENT')) return `no folder for ${quote(file)}`;
  if (hasCode(error, 'EISDIR')) return `${quote(file)} is a folder`;
  return `cannot write ${quote(file)}: ${error.message}`;
}
