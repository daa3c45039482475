import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { quote } from '#base/error';
import { CATALOGUE, type Shot } from '#domain/attack';
import { formatCatalogue, formatProof, tally, type Paint, type Proof } from '#domain/proof';
import { RINGS } from '#domain/rings';
import { ControlError } from '#service/control-client';
import {
  aimAt,
  encodeProof,
  openRunningSystem,
  ProveError,
  readStanding,
  runProof,
  saveProof,
  type Grounds,
} from '#service/prove';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { paint, type Colour } from './paint.ts';
import { proveProgress } from './prove-progress.ts';

type Options = {
  readonly state: string;
  readonly ring?: string;
  readonly service?: string;
  readonly only?: string;
  readonly list?: true;
  readonly json?: string;
};

const DEFAULT_STATE = '.ringwall';

/** `ringwall prove`: attacks the running system, ring by ring, and shows which protections really held. */
export function proveCommand(io: Io, finish: Finish): Command {
  return new Command('prove')
    .description('attack the running system, ring by ring, and show what really held')
    .addOption(new Option('--ring <ring>', 'only attacks on this ring').choices(Object.keys(RINGS)))
    .option('--service <name>', 'only attacks on this service')
    .option('--only <id>', 'only this attack (`ring/name`), or only this shot of one (`ring/name@place`)')
    .option('--list', 'print the catalogue of attacks with their references, and attack nothing')
    .option('--json <file>', 'write the whole proof with its evidence; `-` for the standard output')
    .option('--state <dir>', 'the state directory of the running system', DEFAULT_STATE)
    .addHelpText(
      'after',
      `
Examples:
  ringwall prove
  ringwall prove --ring authorization --service payment
  ringwall prove --only vetting/both-lengths --json proof.json
  ringwall prove --list

Attacks only what \`ringwall up\` runs on the state directory. Before each attack the legitimate request on the same way
must pass. Every proof is kept in the state directory, under proofs/. The matrix holds what the last 24 hours showed of this
model: a run on one ring, service or attack renews its own part of it. The exit code is that of this run alone.
Exits 0 when everything held, 1 when an attack got through, 2 when something could not be checked, 64 on wrong usage.`,
    )
    .action(async (options: Options) => finish(await prove(io, options)));
}

async function prove(io: Io, options: Options): Promise<ExitCode> {
  const stateDir = resolve(io.cwd, options.state);
  if (options.list === true) return list(io, options, stateDir);
  try {
    const grounds = await openRunningSystem(stateDir);
    const unknown = unknownName(options, grounds);
    if (unknown !== undefined) {
      io.err(`ringwall: ${unknown}\n`);
      return EXIT.usage;
    }
    // What goes to a program goes there alone.
    const progress = options.json === '-' ? undefined : proveProgress(io);
    const proof = await runProof({
      grounds,
      wants: wantedBy(options),
      standing: await readStanding(stateDir),
      nowMs: () => Date.now(),
      stateOption: options.state === DEFAULT_STATE ? '' : ` --state ${options.state}`,
      ...(progress !== undefined && { onProgress: progress.report }),
    });
    progress?.end();
    return await report(io, options, stateDir, proof);
  } catch (error) {
    if (!(error instanceof ControlError) && !(error instanceof ProveError)) throw error;
    io.err(`ringwall: ${error.message}\n`);
    return EXIT.undecided;
  }
}

async function report(io: Io, options: Options, stateDir: string, proof: Proof): Promise<ExitCode> {
  const path = await saveProof(stateDir, proof);
  if (options.json === '-') {
    io.out(encodeProof(proof));
  } else {
    if (options.json !== undefined) {
      try {
        await writeFile(resolve(io.cwd, options.json), encodeProof(proof));
      } catch (error) {
        io.err(`ringwall: cannot write ${options.json}: ${(error as Error).message}\n`);
        return EXIT.cannotCreate;
      }
    }
    io.out(formatProof(proof, painter(io)));
    io.out(`evidence: ${path}\n`);
  }
  const { held, failed, inconclusive } = tally(proof.results);
  if (failed > 0) return EXIT.negative;
  return inconclusive > 0 || held === 0 ? EXIT.undecided : EXIT.ok;
}

function wantedBy({ ring, service, only }: Options): (shot: Shot) => boolean {
  return shot =>
    (ring === undefined || shot.attack.ring === ring) &&
    (service === undefined || shot.service === service) &&
    (only === undefined || shot.id === only || shot.attack.id === only);
}

/** A name that neither the model nor the catalogue has. That a good name finds no target is no mistake. */
function unknownName({ only, service }: Options, { model }: Grounds): string | undefined {
  if (service !== undefined && !model.services.has(service)) {
    return `the model has no service ${quote(service)}; it has ${[...model.services.keys()].join(', ')}`;
  }
  const kind = only?.split('@')[0];
  if (kind === undefined || CATALOGUE.some(({ id }) => id === kind)) return undefined;
  return `there is no attack ${quote(kind)}; \`ringwall prove --list\` shows all`;
}

/** With counts where a system runs; the catalogue alone needs none. */
async function list(io: Io, { ring, json }: Options, stateDir: string): Promise<ExitCode> {
  const catalogue = CATALOGUE.filter(attack => ring === undefined || attack.ring === ring);
  if (json !== undefined) {
    const facts = catalogue.map(({ id, ring, vantage, title, references }) => ({
      id,
      ring,
      vantage,
      title,
      references,
    }));
    const text = `${JSON.stringify(facts, null, 2)}\n`;
    if (json === '-') io.out(text);
    else await writeFile(resolve(io.cwd, json), text);
    return EXIT.ok;
  }
  let grounds: Grounds | undefined;
  try {
    grounds = await openRunningSystem(stateDir);
  } catch (error) {
    if (!(error instanceof ControlError) && !(error instanceof ProveError)) throw error;
  }
  if (grounds === undefined) {
    io.out(formatCatalogue(catalogue));
  } else {
    const counts = Map.groupBy(aimAt(grounds), ({ attack }) => attack.id as string);
    io.out(formatCatalogue(catalogue, new Map([...counts].map(([id, shots]) => [id, shots.length]))));
  }
  return EXIT.ok;
}

const COLOURS = {
  proven: 'green',
  declared: 'yellow',
  missing: 'yellow',
  broken: 'red',
  unknown: 'yellow',
  '-': 'dim',
} as const satisfies Record<string, Colour>;

function painter(io: Io): Paint {
  return (text, state) => paint(io, COLOURS[state], text);
}
