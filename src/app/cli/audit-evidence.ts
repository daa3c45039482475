import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { CodedError, quote } from '#base/error';
import {
  formatKey,
  hashLeaf,
  MerkleError,
  parseKey,
  parseProof,
  verifyProof,
  type NoteKey,
} from '#domain/merkle';
import { decodeEntry, recordId, RecordError, type LedgerEntry } from '#domain/record';
import { callControl, ControlError } from '#service/control-client';
import {
  LedgerError,
  verifyLedger,
  type EntryView,
  type Finding,
  type LedgerReport,
  type ProofView,
} from '#service/ledger';
import { reportControlFailure } from './control-failure.ts';
import type { Finish } from './finish.ts';
import { formatEntry, formatGap, showText } from './format-entry.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { paint } from './paint.ts';

type VerifyOptions = {
  readonly state: string;
  readonly dir?: string;
  readonly key?: string;
  readonly sinceCheckpoint: readonly string[];
  readonly acceptGaps?: true;
  readonly json?: true;
};

/** `ringwall audit verify`: a full audit, from the ledger's files and the public key alone. */
export function verifyCommand(io: Io, finish: Finish): Command {
  return new Command('verify')
    .description('check every record against the signed checkpoint; needs only the files and the public key')
    .option('--state <dir>', 'a state directory; control may be running or not', '.ringwall')
    .option('--dir <dir>', 'the files of a ledger, wherever they are; needs --key')
    .option(
      '--key <key>',
      'the public key, or a file that holds it; default: ledger.pub of the state directory',
    )
    .option(
      '--since-checkpoint <file...>',
      'checkpoints kept elsewhere: the ledger must have grown from them',
      [],
    )
    .option('--accept-gaps', 'exit 0 although points have lost records, if the ledger itself is whole')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall audit verify
  ringwall audit verify --dir /backup/ledger --key "$(cat ledger.pub)" --since-checkpoint last-month.checkpoint
  cp .ringwall/ledger/checkpoint last-month.checkpoint       keep it where an intruder cannot reach it

Exits 0 when the ledger is whole, 1 when it is damaged or records are missing, 2 when that could not be found out.
A stolen ledger key can rewrite all of the ledger. A checkpoint that was kept elsewhere shows that too.`,
    )
    .action(async (options: VerifyOptions) => finish(await verify(io, options)));
}

type ProveOptions = { readonly state: string; readonly output?: string; readonly json?: true };

/** `ringwall audit prove ID`: evidence that a record is in the ledger, for those who trust only its key. */
export function proveCommand(io: Io, finish: Finish): Command {
  return new Command('prove')
    .description('make a proof that a record is in the ledger (C2SP tlog-proof)')
    .argument('<id>', 'the index of a record, its `point/epoch/seq`, or a request id')
    .option('-o, --output <file>', 'where the proof goes; default: standard output')
    .option('--state <dir>', 'the state directory of the running system', '.ringwall')
    .option('--json', 'print the proof with its record as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall audit prove 1234 -o 1234.tlog-proof
  ringwall audit verify-proof 1234.tlog-proof --key "$(cat ledger.pub)"

Of a request id, the record at the edge is proven. Exits 1 when there is no such record.`,
    )
    .action(async (id: string, options: ProveOptions) => finish(await prove(io, id, options)));
}

type VerifyProofOptions = { readonly state: string; readonly key?: string; readonly json?: true };

/** `ringwall audit verify-proof FILE`: checks a proof without the ledger. */
export function verifyProofCommand(io: Io, finish: Finish): Command {
  return new Command('verify-proof')
    .description('check a proof; needs only the public key')
    .argument('<file>', 'a file that `ringwall audit prove` wrote')
    .option(
      '--key <key>',
      'the public key, or a file that holds it; default: ledger.pub of the state directory',
    )
    .option('--state <dir>', 'where ledger.pub is', '.ringwall')
    .option('--json', 'print the proven record as JSON')
    .addHelpText(
      'after',
      '\nExits 0 when the proof holds, 1 when it does not, 2 when that could not be found out.',
    )
    .action(async (file: string, options: VerifyProofOptions) => finish(await checkProof(io, file, options)));
}

/** What keeps a question from being answered, in words for people. */
class UndecidedError extends CodedError<'unreadable' | 'bad-key'> {}

async function verify(io: Io, options: VerifyOptions): Promise<ExitCode> {
  if (options.dir !== undefined && options.key === undefined) {
    io.err('ringwall: --dir needs --key: a key that lies beside the files would prove nothing\n');
    return EXIT.usage;
  }
  const directory =
    options.dir === undefined ? join(resolve(io.cwd, options.state), 'ledger') : resolve(io.cwd, options.dir);
  try {
    const key = await readKey(io, options);
    const earlier = await Promise.all(options.sinceCheckpoint.map(file => readText(io, file)));
    const report = await verifyLedger({ directory, key, earlier });
    io.out(
      options.json === true
        ? `${JSON.stringify({ key: formatKey(key), ...report }, null, 2)}\n`
        : formatReport(io, report, key),
    );
    return report.kind === 'intact' || (report.kind === 'gaps' && options.acceptGaps === true)
      ? EXIT.ok
      : EXIT.negative;
  } catch (error) {
    return undecided(io, error);
  }
}

async function prove(io: Io, id: string, options: ProveOptions): Promise<ExitCode> {
  try {
    const path = `/records/${encodeURIComponent(id)}/proof`;
    const proven = await callControl<ProofView>(resolve(io.cwd, options.state), 'GET', path);
    const text = options.json === true ? `${JSON.stringify(proven, null, 2)}\n` : proven.proof;
    if (options.output === undefined) {
      io.out(text);
    } else {
      await writeFile(resolve(io.cwd, options.output), text);
      io.out(`${formatEntry(io, proven.entry)}proof written to ${options.output}\n`);
    }
    if (proven.others.length > 0) io.err(`other records of this request: ${proven.others.join(', ')}\n`);
    return EXIT.ok;
  } catch (error) {
    if (error instanceof ControlError) {
      if (error.problem?.status !== 404) return reportControlFailure(io, error);
      io.err(`ringwall: the ledger has no record ${quote(id)}\n`);
      return EXIT.negative;
    }
    if (!isSystemError(error)) throw error;
    io.err(`ringwall: cannot write ${quote(options.output ?? '')}: ${error.message}\n`);
    return EXIT.cannotCreate;
  }
}

async function checkProof(io: Io, file: string, options: VerifyProofOptions): Promise<ExitCode> {
  try {
    const key = await readKey(io, options);
    const proof = parseProof(await readText(io, file));
    const bytes = Buffer.from(proof.extra ?? []);
    const { origin, size } = verifyProof(proof, hashLeaf(bytes), key);
    const entry = viewOf(proof.index, decodeEntry(bytes.toString('latin1')));
    if (options.json === true) io.out(`${JSON.stringify({ origin, size, entry }, null, 2)}\n`);
    else
      io.out(
        `${formatEntry(io, entry)}${paint(io, 'green', 'holds')}: entry ${proof.index} of ${showText(origin)}, signed with ${size} entries\n`,
      );
    return EXIT.ok;
  } catch (error) {
    if (error instanceof MerkleError || error instanceof RecordError) {
      io.err(`${paint(io, 'red', 'does not hold')}: ${error.message}\n`);
      return EXIT.negative;
    }
    return undecided(io, error);
  }
}

function viewOf(index: number, entry: LedgerEntry): EntryView {
  if (entry.kind === 'gap') return { kind: 'gap', index, gap: entry.gap };
  return {
    kind: 'record',
    index,
    id: recordId(entry.origin),
    point: entry.origin.point,
    record: entry.record,
  };
}

function formatReport(io: Io, report: LedgerReport, key: NoteKey): string {
  const { checkpoints, findings, gapCount, gaps, kind, origin, pending, root, size } = report;
  const lines: string[] = [];
  if (kind === 'damaged')
    lines.push(paint(io, 'red', `DAMAGED: first bad record: ${formatFinding(findings[0])}`));
  for (const finding of findings.slice(1, MAX_SHOWN)) lines.push(`  also: ${formatFinding(finding)}`);
  if (findings.length > MAX_SHOWN) lines.push(`  and ${findings.length - MAX_SHOWN} more`);
  if (kind === 'intact') lines.push(paint(io, 'green', `whole: all ${size} entries are as they were signed`));
  if (kind === 'gaps')
    lines.push(
      paint(
        io,
        'yellow',
        `MISSING RECORDS: all ${size} entries are as they were signed, with ${plural(gapCount, 'gap')} in them`,
      ),
    );
  for (const { index, gap } of gaps.slice(0, MAX_SHOWN))
    lines.push(`  entry ${index}: ${formatGap({ gap })}`);
  if (gapCount > MAX_SHOWN) lines.push(`  and ${gapCount - MAX_SHOWN} more`);
  lines.push(
    `log          ${showText(origin)}`,
    `key          ${formatKey(key)}`,
    `root         ${root === '' ? '-' : root}`,
  );
  lines.push(`compared     ${plural(checkpoints, 'signed checkpoint')}`);
  if (pending > 0)
    lines.push(
      `not signed   ${plural(pending, 'newest entry', 'newest entries')}: the next checkpoint covers them`,
    );
  return `${lines.join('\n')}\n`;
}

const MAX_SHOWN = 10;

function formatFinding(finding: Finding | undefined): string {
  if (finding === undefined) return '';
  const { index, lastIndex, message, reason, record } = finding;
  const where = lastIndex === undefined ? `entry ${index}` : `between entry ${index} and ${lastIndex}`;
  return `${where}${record === undefined ? '' : ` (${showText(record)})`}: ${showText(message)} [${reason}]`;
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** The key on the command line, in the file that it names, or in the state directory. */
async function readKey(
  io: Io,
  { key, state }: { readonly key?: string; readonly state: string },
): Promise<NoteKey> {
  const given = key === undefined ? undefined : tryKey(key.trim());
  if (given !== undefined) return given;
  const file = key ?? join(state, 'ledger.pub');
  const found = tryKey((await readText(io, file)).trim());
  if (found === undefined)
    throw new UndecidedError('bad-key', `${quote(file)} holds no ledger key (\`name+hash+data\`)`);
  return found;
}

function tryKey(text: string): NoteKey | undefined {
  try {
    return parseKey(text);
  } catch {
    return undefined;
  }
}

async function readText(io: Io, file: string): Promise<string> {
  try {
    return await readFile(resolve(io.cwd, file), 'utf8');
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const hint =
      error.code === 'ENOENT' ? 'there is no such file; is --state the directory of the system?' : error.code;
    throw new UndecidedError('unreadable', `cannot read ${quote(file)}: ${hint}`, { cause: error });
  }
}

function undecided(io: Io, error: unknown): ExitCode {
  const known =
    error instanceof UndecidedError || error instanceof LedgerError || error instanceof MerkleError;
  if (!known && !isSystemError(error)) throw error;
  io.err(`ringwall: could not be verified: ${error.message}\n`);
  return EXIT.undecided;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
