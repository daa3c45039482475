import { resolve } from 'node:path';
import { Command } from 'commander';
import { callControl } from '#service/control-client';
import type { Finish } from './finish.ts';
import type { Io } from './io.ts';
import { printRollout, type Rollout } from './rollout.ts';

/** `ringwall revoke SERVICE`: cuts a service off everywhere. */
export function revokeCommand(io: Io, finish: Finish): Command {
  return new Command('revoke')
    .description('cut a service off at every point: its connections, its calls, its certificates')
    .argument('<service>', 'a service of the model')
    .option('--state <dir>', 'the state directory of the running system', '.ringwall')
    .option('--json', 'print how far the change came as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall revoke payment
  ringwall revoke payment --state /var/lib/ringwall --json

New handshakes of the service are refused, its open connections closed, its certificates not renewed, calls to it refused.
\`ringwall restore\` takes it back.

Exits 0 when every point has the change, 1 when one has not, 64 for a service that the model does not have, 69 when
nothing runs on the state directory.`,
    )
    .action(async (service: string, options: { readonly state: string; readonly json?: true }) => {
      const stateDir = resolve(io.cwd, options.state);
      const words = { done: `${service} cut off`, already: `${service} is cut off already` };
      finish(
        await printRollout(io, options, words, () =>
          callControl<Rollout>(stateDir, 'POST', '/revoke', { service }),
        ),
      );
    });
}
