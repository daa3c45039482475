import { resolve } from 'node:path';
import { Command } from 'commander';
import { byPlace, formatProblems, problemsToJson, type ParsedModel, type Problem } from '#domain/model';
import { ModelFileError, readModel } from '#service/model-file';
import { countModel, formatCounts, plural } from './count-model.ts';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

/** `ringwall check FILE`: all problems of a model at once. */
export function checkCommand(io: Io, finish: Finish): Command {
  return new Command('check')
    .description('check a model: every problem with its line and a hint')
    .argument('[file]', 'the model', 'ringwall.yaml')
    .option('--json', 'print the problems as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall check
  ringwall check examples/boutique/ringwall.yaml
  ringwall check ringwall.yaml --json

Exits 0 when the model holds, warnings or not; 64 when it has errors; 66 when there is no such file.`,
    )
    .action(async (file: string, options: { json?: true }) => {
      finish(options.json === true ? await checkAsJson(io, file) : await checkAsText(io, file));
    });
}

async function checkAsText(io: Io, file: string): Promise<ExitCode> {
  try {
    const { text, parsed } = await readModel(resolve(io.cwd, file), file);
    const problems = problemsOf(parsed);
    if (problems.length > 0) io.out(`${formatProblems(problems, text, { colour: io.colour })}\n`);
    io.out(`${summarise(file, parsed)}\n`);
    return exitCodeOf(parsed);
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    io.err(`ringwall: ${error.message}\n`);
    return EXIT.noInput;
  }
}

async function checkAsJson(io: Io, file: string): Promise<ExitCode> {
  try {
    const { parsed } = await readModel(resolve(io.cwd, file), file);
    const facts = parsed.kind === 'model' ? { system: parsed.model.system, ...countModel(parsed.model) } : {};
    print(io, { file, ok: parsed.kind === 'model', ...facts, problems: problemsToJson(problemsOf(parsed)) });
    return exitCodeOf(parsed);
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    print(io, { file, ok: false, problems: [], failure: { code: error.code, message: error.message } });
    return EXIT.noInput;
  }
}

function print(io: Io, answer: object): void {
  io.out(`${JSON.stringify(answer, null, 2)}\n`);
}

function exitCodeOf(parsed: ParsedModel): ExitCode {
  return parsed.kind === 'model' ? EXIT.ok : EXIT.usage;
}

function problemsOf(parsed: ParsedModel): readonly Problem[] {
  if (parsed.kind === 'model') return parsed.warnings;
  return [...parsed.problems, ...parsed.warnings].sort(byPlace);
}

function summarise(file: string, parsed: ParsedModel): string {
  const warnings = parsed.warnings.length === 0 ? '' : `, ${plural(parsed.warnings.length, 'warning')}`;
  if (parsed.kind === 'invalid') return `${file}: ${plural(parsed.problems.length, 'error')}${warnings}`;
  return `${parsed.model.system}: ${formatCounts(countModel(parsed.model))}: ok${warnings}`;
}
