import { resolve } from 'node:path';
import { Command } from 'commander';
import { callControl } from '#service/control-client';
import type { Finish } from './finish.ts';
import type { Io } from './io.ts';
import { printRollout, type Rollout } from './rollout.ts';

/** `ringwall restore SERVICE`: takes a revocation back. */
export function restoreCommand(io: Io, finish: Finish): Command {
  return new Command('restore')
    .description('let a service that was revoked take part again')
    .argument('<service>', 'a service of the model')
    .option('--state <dir>', 'the state directory of the running system', '.ringwall')
    .option('--json', 'print how far the change came as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall restore payment

The service gets new certificates; nothing else of the model changes.

Exits 0 when every point has the change, 1 when one has not, 64 for a service that the model does not have, 69 when
nothing runs on the state directory.`,
    )
    .action(async (service: string, options: { readonly state: string; readonly json?: true }) => {
      const stateDir = resolve(io.cwd, options.state);
      const words = { done: `${service} restored`, already: `${service} is restored already` };
      finish(
        await printRollout(io, options, words, () =>
          callControl<Rollout>(stateDir, 'POST', '/restore', { service }),
        ),
      );
    });
}
