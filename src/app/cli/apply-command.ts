import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { formatProblems, type Problem } from '#domain/model';
import { callControl, ControlError } from '#service/control-client';
import { ModelFileError, readModel } from '#service/model-file';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { printRollout, type Rollout } from './rollout.ts';

type Options = { readonly state: string; readonly json?: true };

/** New services are waited for, then the points, then the services that are started anew. */
const TIMEOUT_MS = 120_000;
const NOTHING_CHANGED = 'nothing was changed';

/** `ringwall apply FILE`: puts a model in force in the running system. */
export function applyCommand(io: Io, finish: Finish): Command {
  return new Command('apply')
    .description('put a model in force in the running system; one that does not hold changes nothing')
    .argument('[file]', 'the model', 'ringwall.yaml')
    .option('--state <dir>', 'the state directory of the running system', '.ringwall')
    .option('--json', 'print how far the change came as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall apply
  ringwall plan old.yaml new.yaml && ringwall apply new.yaml
  ringwall apply new.yaml --state /var/lib/ringwall --json

Services that the model adds are started before anything leads to them, those that it removes end after nothing does. One
whose command or environment changes is started anew: until it listens, requests to it get 502. When a new service does not
start, nothing changes.

Exits 0 when every point and every service has the change, 1 when one has not, 64 for a model that does not hold, 66 for a file that
cannot be read, 69 when nothing runs on the state directory.`,
    )
    .action(async (file: string, options: Options) => finish(await apply(io, file, options)));
}

async function apply(io: Io, file: string, options: Options): Promise<ExitCode> {
  const path = resolve(io.cwd, file);
  let model: Awaited<ReturnType<typeof readModel>>;
  try {
    model = await readModel(path, file);
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    io.err(`ringwall: ${error.message}\n`);
    return EXIT.noInput;
  }
  const { parsed, text } = model;
  if (parsed.kind === 'invalid') return printProblems(io, parsed.problems, text);
  const stateDir = resolve(io.cwd, options.state);
  const source = { file, directory: dirname(path), text };
  try {
    return await printRollout(
      io,
      options,
      { done: 'applied', already: 'nothing to change; in force', refused: NOTHING_CHANGED },
      async () => {
        try {
          return await callControl<Rollout>(stateDir, 'POST', '/apply', source, { timeoutMs: TIMEOUT_MS });
        } catch (error) {
          throw problemsIn(error) ?? error;
        }
      },
    );
  } catch (error) {
    if (error instanceof RefusedModel) return printProblems(io, error.problems, text);
    throw error;
  }
}

/** A control of another release may see problems that this one does not. */
class RefusedModel extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super('the model does not hold');
    this.problems = problems;
  }
}

function problemsIn(error: unknown): RefusedModel | undefined {
  const problems = error instanceof ControlError ? error.problem?.problems : undefined;
  return problems === undefined ? undefined : new RefusedModel(problems as readonly Problem[]);
}

function printProblems(io: Io, problems: readonly Problem[], text: string): ExitCode {
  io.err(`${formatProblems(problems, text, { colour: io.colour })}\n`);
  io.err(`${NOTHING_CHANGED}\n`);
  return EXIT.usage;
}
