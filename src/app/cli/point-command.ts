import { Command } from 'commander';
import { runPoint } from '#app/point';
import type { Finish } from './finish.ts';
import type { Io } from './io.ts';

/** `ringwall point`: one enforcement point, started by `ringwall up` with its configuration on standard input. */
export function pointCommand(io: Io, finish: Finish): Command {
  return new Command('point')
    .description('run one enforcement point; its configuration comes as one JSON line on standard input')
    .addHelpText('after', '\nStarted by `ringwall up`; not meant to be typed.')
    .action(async () => {
      finish(await runPoint({ input: process.stdin, writeLog: io.err }));
      // Its supervisor keeps the other end open.
      process.stdin.destroy();
    });
}
