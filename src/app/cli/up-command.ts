import { dirname, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { runUp } from '#app/up';
import { assertNever, type CodedError } from '#base/error';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { loadModel } from './load-model.ts';

type Options = {
  readonly state: string;
  readonly standIns?: true;
  readonly external?: true;
  readonly port?: number;
  readonly network: boolean;
  readonly json?: true;
};

const DEFAULT_STATE = '.ringwall';

/** `ringwall up FILE`: brings the system of a model up on this machine. */
export function upCommand(io: Io, finish: Finish): Command {
  return new Command('up')
    .description('bring up the system of a model on this machine: control, gateway, agent and services')
    .argument('[file]', 'the model', 'ringwall.yaml')
    .option('--state <dir>', 'where keys, ledger and logs are kept', DEFAULT_STATE)
    .option('--stand-ins', 'play services that have no `run:`, and issuers that stand elsewhere')
    .addOption(
      new Option(
        '--external',
        'expect services that have no `run:` to run by themselves, on 127.0.0.1 at the port of their `listen`',
      ).conflicts('standIns'),
    )
    .option('--port <number>', 'port of the gateway, instead of the one in the model', parsePort)
    .option('--no-network', 'leave services in the network of the machine')
    .option('--json', 'print where everything is as one line of JSON; progress goes to the standard error')
    .addHelpText(
      'after',
      `
Examples:
  ringwall up
  ringwall up examples/boutique/ringwall.yaml
  ringwall up imported.yaml --stand-ins --state /tmp/rehearsal
  ringwall up ringwall.yaml --external

On Linux as root each service gets a network namespace of its own, with rules compiled from the model.
Ends with Ctrl-C; nothing stays but the state directory.
Services without \`run:\` need one of --stand-ins and --external. With --external, the addresses of what such a service may
call are in env/SERVICE.env of the state directory.
Exits 64 for a model that does not hold or names a program that is not there, 69 when a part does not become ready, 73 for a port or directory in use.`,
    )
    .action(async (file: string, options: Options) => finish(await up(io, file, options)));
}

async function up(io: Io, file: string, options: Options): Promise<ExitCode> {
  const loaded = await loadModel(io, file);
  if (loaded.kind === 'failed') return loaded.code;
  const json = options.json === true;
  const outcome = await runUp({
    source: { file, directory: dirname(resolve(io.cwd, file)), text: loaded.text },
    model: loaded.model,
    stateDirectory: resolve(io.cwd, options.state),
    stateOption: options.state === DEFAULT_STATE ? undefined : options.state,
    withoutRun: options.standIns === true ? 'played' : options.external === true ? 'external' : 'refused',
    edgePort: options.port,
    sharedNetworkBecause: options.network ? undefined : 'switched off by --no-network',
    environment: io.env,
    write: json ? io.err : io.out,
    writeAnswer: io.out,
    json,
    isTerminal: !json && io.colour,
  });
  switch (outcome.kind) {
    case 'ended':
      return EXIT.ok;
    case 'interrupted':
      io.err('ringwall: interrupted before it was up; nothing is left running\n');
      return EXIT.negative;
    case 'failed':
      io.err(`ringwall: ${outcome.error.message}\n`);
      return exitCodeOf(outcome.error);
    default:
      return assertNever(outcome);
  }
}

/** By code, not by class: the faults of every part come through here. */
const EXIT_BY_CODE: Readonly<Record<string, ExitCode>> = {
  'port-taken': EXIT.cannotCreate,
  'no-state-directory': EXIT.cannotCreate,
  'socket-path-too-long': EXIT.cannotCreate,
  'already-running': EXIT.cannotCreate,
  'no-free-port': EXIT.cannotCreate,
  'state-in-use': EXIT.cannotCreate,
  'key-file-loose': EXIT.cannotCreate,
  exited: EXIT.unavailable,
  'not-ready': EXIT.unavailable,
  'not-started': EXIT.unavailable,
  rejected: EXIT.unavailable,
  silent: EXIT.unavailable,
  'other-trust-domain': EXIT.usage,
  'no-run': EXIT.usage,
  'no-program': EXIT.usage,
};

function exitCodeOf({ code }: CodedError): ExitCode {
  return EXIT_BY_CODE[code] ?? EXIT.internal;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('a port is a number from 1 to 65535');
  return port;
}
