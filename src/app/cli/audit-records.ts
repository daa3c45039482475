import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { quote } from '#base/error';
import { callControl, ControlError } from '#service/control-client';
import type { EntryView, RecordsView } from '#service/ledger';
import { reportControlFailure } from './control-failure.ts';
import type { Finish } from './finish.ts';
import { formatEntry, showText } from './format-entry.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { parseMoment } from './parse-moment.ts';

const FOLLOW_EVERY_MS = 250;
const PAGE = 1_000;

type TailOptions = {
  readonly state: string;
  readonly follow?: true;
  readonly lines: string;
  readonly json?: true;
};

/** `ringwall audit tail`: the newest entries, and with `--follow` those that come. */
export function tailCommand(io: Io, finish: Finish): Command {
  return new Command('tail')
    .description('show the newest records')
    .option('-f, --follow', 'go on with the records that come, until interrupted')
    .option('-n, --lines <count>', 'how many to begin with', '20')
    .option('--state <dir>', 'the state directory of the running system', '.ringwall')
    .option('--json', 'print a JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  ringwall audit tail
  ringwall audit tail -f --json | jq -c 'select(.record.decision == "refused")'`,
    )
    .action(async (options: TailOptions) => finish(await attempt(io, () => tail(io, options))));
}

type SearchOptions = {
  readonly state: string;
  readonly identity?: string;
  readonly service?: string;
  readonly decision?: string;
  readonly since?: string;
  readonly until?: string;
  readonly request?: string;
  readonly limit: string;
  readonly json?: true;
};

/** `ringwall audit search`: entries by what is in them, newest first. */
export function searchCommand(io: Io, finish: Finish): Command {
  return new Command('search')
    .description('find records, newest first')
    .option(
      '--identity <id>',
      'who called: a client id, user or SPIFFE ID, or its last part (`alice`, `frontend`)',
    )
    .option('--service <name>', 'a service as caller or callee: its name or SPIFFE ID')
    .addOption(
      new Option('--decision <decision>', 'what was decided').choices([
        'allowed',
        'refused',
        'failed',
        'gap',
      ]),
    )
    .option('--since <when>', 'not before: `15m`, `2h`, `7d` ago, or `2026-03-01T08:30`')
    .option('--until <when>', 'not after')
    .option('--request <id>', 'the `x-request-id` of a request: all its hops')
    .option('--limit <count>', 'at most so many', '100')
    .option('--state <dir>', 'the state directory of the running system', '.ringwall')
    .option('--json', 'print a JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  ringwall audit search --identity alice --since 15m
  ringwall audit search --service payment --decision refused
  ringwall audit search --decision gap         records that are known to be missing
  ringwall audit search --identity operator    what operators had done

Exits 0 also when nothing is found.`,
    )
    .action(async (options: SearchOptions) => finish(await attempt(io, () => search(io, options))));
}

async function tail(io: Io, options: TailOptions): Promise<ExitCode> {
  if (!isCount(options.lines)) return usage(io, `--lines ${quote(options.lines)} is not a number`);
  const read = (after: string, limit: string) =>
    callControl<RecordsView>(
      resolve(io.cwd, options.state),
      'GET',
      `/records?${new URLSearchParams({ after, limit }).toString()}`,
    );
  let { records, size } = await read('newest', options.lines);
  print(io, records, options.json === true);
  let after = size - 1;
  while (options.follow === true) {
    ({ records, size } = await read(`${after}`, `${PAGE}`));
    print(io, records, options.json === true);
    after = records.at(-1)?.index ?? after;
    if (records.length < PAGE) await sleep(FOLLOW_EVERY_MS);
  }
  return EXIT.ok;
}

async function search(io: Io, options: SearchOptions): Promise<ExitCode> {
  if (!isCount(options.limit)) return usage(io, `--limit ${quote(options.limit)} is not a number`);
  const query = new URLSearchParams({ limit: options.limit });
  for (const name of ['identity', 'service', 'decision', 'request'] as const) {
    const value = options[name];
    if (value !== undefined) query.set(name, value);
  }
  for (const name of ['since', 'until'] as const) {
    const text = options[name];
    if (text === undefined) continue;
    const moment = parseMoment(text, Date.now());
    if (moment === undefined)
      return usage(
        io,
        `--${name} ${quote(text)} is no moment: write \`15m\`, \`2h\`, \`7d\` or \`2026-03-01T08:30\``,
      );
    query.set(name, `${moment}`);
  }
  const found = await callControl<RecordsView>(
    resolve(io.cwd, options.state),
    'GET',
    `/records?${query.toString()}`,
  );
  print(io, found.records, options.json === true);
  if (found.records.length === 0) io.err('nothing found\n');
  if (found.indexedSize < found.size)
    io.err(`the newest ${found.size - found.indexedSize} records cannot be searched yet\n`);
  return EXIT.ok;
}

function print(io: Io, entries: readonly EntryView[], json: boolean): void {
  if (entries.length > 0)
    io.out(
      entries.map(entry => (json ? `${showText(JSON.stringify(entry))}\n` : formatEntry(io, entry))).join(''),
    );
}

async function attempt(io: Io, work: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return reportControlFailure(io, error);
  }
}

function isCount(text: string): boolean {
  return /^[1-9][0-9]{0,5}$/.test(text);
}

function usage(io: Io, message: string): ExitCode {
  io.err(`ringwall: ${message}\n`);
  return EXIT.usage;
}
