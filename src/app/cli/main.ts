import { CodedError } from '#base/error';
import { EXIT, type Io } from './io.ts';
import { runCommand } from './run-command.ts';

/** Runs the command line of this process. */
export async function main(): Promise<void> {
  endQuietlyWithoutReader();
  const io = processIo();
  const fail = (error: unknown) => {
    io.err(`${describeFailure(error, io.env)}\n`);
    process.exit(EXIT.internal);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  process.exitCode = await runCommand(process.argv.slice(2), io);
  // A command that is done leaves nothing open; if one does, it shall not keep the terminal.
  setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();
}

const EXIT_WITHIN_MS = 1000;

/** One line; the stack, which says nothing to users, only for those who ask for it. */
export function describeFailure(error: unknown, env: Io['env']): string {
  if (!(error instanceof Error)) return `ringwall: ${String(error)}`;
  const isSet = env['RINGWALL_DEBUG'] !== undefined && env['RINGWALL_DEBUG'] !== '';
  if (isSet) return `ringwall: ${error.stack ?? error.message}${causeOf(error)}`;
  const kind =
    error instanceof CodedError ? '' : ' (a fault of Ringwall itself; RINGWALL_DEBUG=1 shows where)';
  return `ringwall: ${error.message.split('\n')[0] ?? ''}${kind}`;
}

function causeOf(error: Error): string {
  return error.cause instanceof Error ? `\ncaused by: ${error.cause.stack ?? error.cause.message}` : '';
}

function processIo(): Io {
  const { env, stdout, stderr } = process;
  return {
    out: text => void stdout.write(text),
    err: text => void stderr.write(text),
    cwd: process.cwd(),
    env,
    // https://no-color.org
    colour: stdout.isTTY && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb',
  };
}

/** `ringwall audit tail | head` is no failure; and what goes on when nobody reads its complaints any more, goes on. */
function endQuietlyWithoutReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // A command that has something to put away listens itself, and ends by itself.
    if (process.stdout.listenerCount('error') === 1) process.exit();
  });
  process.stderr.on('error', () => {});
}
