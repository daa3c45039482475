import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { COMMANDS, type CommandEntry } from './commands.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

/**
 * Runs one command line.
 *
 * @param argv without the program's name
 * @returns the exit code; what a command throws goes through
 */
export async function runCommand(argv: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = await buildProgram(argv, io, chosen => (code = chosen));
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
}

async function buildProgram(
  argv: readonly string[],
  io: Io,
  finish: (code: ExitCode) => void,
): Promise<Command> {
  const program = new Command('ringwall')
    .description('Write down who may call whom; Ringwall builds every wall from it and attacks each wall.')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(`ringwall --help` shows what there is)');
  for (const { load, hidden } of chooseCommands(argv)) {
    program.addCommand((await load())(io, finish), { hidden: hidden === true });
  }
  for (const command of [program, ...descendants(program)]) {
    if (command !== program) command.showHelpAfterError(`(\`ringwall help ${pathOf(command)}\` shows how)`);
    command.exitOverride().configureOutput({
      writeOut: io.out,
      writeErr: text => io.err(text.replace(/^error: /, 'ringwall: ')),
      getOutHasColors: () => io.colour,
      getErrHasColors: () => io.colour,
    });
  }
  return program;
}

/** The one command that is meant; all of them for help, and to find the nearest when none is. */
function chooseCommands(argv: readonly string[]): CommandEntry[] {
  const name = argv[0] ?? '';
  if (name === '--version') return [];
  const meant = COMMANDS.get(name);
  return meant === undefined ? [...COMMANDS.values()] : [meant];
}

/** `audit verify` for that command. */
function pathOf(command: Command): string {
  const above = command.parent;
  return above === null || above.parent === null ? command.name() : `${pathOf(above)} ${command.name()}`;
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap(child => [child, ...descendants(child)]);
}

function version(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
  );
  return String((manifest as { version: unknown }).version);
}

const EXAMPLES = `
Examples:
  ringwall init                                   write a first model, ringwall.yaml
  ringwall check ringwall.yaml                    say everything that is wrong with it
  ringwall up ringwall.yaml --stand-ins           bring it up, services without \`run:\` played by stand-ins
  ringwall prove                                  attack what is up, ring by ring

Every command has its own help: ringwall help up`;
