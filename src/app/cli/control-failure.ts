import { assertNever } from '#base/error';
import type { ControlError } from '#service/control-client';
import { EXIT, type ExitCode, type Io } from './io.ts';

/** Says why control did not do what it was asked; gives the exit code that this means. */
export function reportControlFailure(io: Io, error: ControlError): ExitCode {
  io.err(`ringwall: ${error.message}\n`);
  switch (error.code) {
    case 'not-running':
      io.err('start it with `ringwall up`, or name its state directory with --state\n');
      return EXIT.unavailable;
    case 'not-permitted':
    case 'timeout':
      return EXIT.unavailable;
    case 'refused':
      return (error.problem?.status ?? 500) < 500 ? EXIT.usage : EXIT.negative;
    case 'bad-answer':
    case 'too-large':
      return EXIT.internal;
    default:
      return assertNever(error.code);
  }
}
