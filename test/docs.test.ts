import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import { parseModel } from '#domain/model';
import { COMMANDS } from '../src/app/cli/commands.ts';
import type { Io } from '../src/app/cli/io.ts';
import { runCommand } from '../src/app/cli/run-command.ts';

/**
 * What the documentation shows is what happens. In a `console` block each `$ ringwall …` is run and its output compared:
 * a line `…` stands for any lines, `…` within a line for any text; times, ids and keys may differ. A `yaml` block says
 * in its info string what it is: `model` (whole), `fragment`, `file=NAME` (is written to where the commands run). A page
 * marked `docs-test: running` is also played through against a running system.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);
const pages = await readPages();
const folders: string[] = [];
after(() => Promise.all(folders.map(folder => rm(folder, { recursive: true, force: true }))));

type Block = {
  readonly language: string;
  readonly words: readonly string[];
  readonly text: string;
  readonly line: number;
};
type Page = { readonly path: string; readonly text: string; readonly blocks: readonly Block[] };
type Step = { readonly command: string; readonly expected: string; readonly line: number };

describe('pages', () => {
  for (const page of pages) {
    test(`${page.path}: commands that need no running system print what the page shows`, async () => {
      const cwd = await sandbox(page);
      for (const step of stepsOf(page).filter(isSelfContained)) {
        const printed = await runInProcess(step.command, cwd);
        assert.ok(
          isAsShown(step.expected, printed),
          `${page.path}:${step.line}: $ ${step.command}\nshown:\n${step.expected}\nprinted:\n${printed}`,
        );
      }
    });

    test(`${page.path}: models are valid, fragments are YAML`, () => {
      for (const block of page.blocks) assert.deepEqual(faultsOf(block), [], `${page.path}:${block.line}`);
    });

    test(`${page.path}: links and anchors exist`, async () => {
      assert.deepEqual(await deadLinks(page), []);
    });

    test(`${page.path}: commands and options exist`, async () => {
      assert.deepEqual(await unknownWords(page.text), []);
    });
  }

  test('docs/reference/cli.md is what the commands say of themselves', async () => {
    await run(process.execPath, ['scripts/cli-reference.ts', '--check'], { cwd: root });
  });
});

describe('the checks themselves', () => {
  test('isAsShown() tells different output apart', () => {
    assert.ok(isAsShown('a 12 ms\n…\nz', 'a 7 ms\nb\nc\nz'));
    assert.ok(isAsShown('by … of it', 'by a line of it'));
    assert.ok(!isAsShown('refused: no rule', 'allowed by x'));
    assert.ok(!isAsShown('a\nz', 'a\nb\nz'));
    assert.ok(!isAsShown('a', 'a\nb'));
    assert.ok(!isAsShown('status 403', 'status 404'));
  });

  test('stepsOf() finds commands and what they print', () => {
    const page = parsePage('x.md', '```console\n$ ringwall check\nok\n$ curl x\n```\n');
    assert.deepEqual(stepsOf(page), [
      { command: 'ringwall check', expected: 'ok', line: 2 },
      { command: 'curl x', expected: '', line: 4 },
    ]);
  });

  test('faultsOf() finds an invalid model, broken YAML and a block that says nothing of itself', () => {
    const faults = (info: string, body: string) => {
      const [block] = parsePage('x.md', `\`\`\`${info}\n${body}\n\`\`\`\n`).blocks;
      assert.ok(block);
      return faultsOf(block).length > 0;
    };
    assert.ok(faults('yaml model', 'apiVersion: ringwall.dev/v1\nsystem: x'));
    assert.ok(faults('yaml fragment', 'a: [1'));
    assert.ok(faults('yaml', 'a: 1'));
    assert.ok(!faults('yaml fragment', 'a: 1'));
  });

  test('deadLinks() finds a missing file and a missing anchor', async () => {
    const page = parsePage(
      'docs/guide/x.md',
      '[a](nowhere.md) [b](running.md#nowhere) [c](running.md#status)',
    );
    assert.deepEqual(await deadLinks(page), ['nowhere.md', 'running.md#nowhere']);
  });

  test('unknownWords() finds a missing command and a missing option', async () => {
    assert.deepEqual(
      await unknownWords('`ringwall chek` `ringwall check --jsn` `npx ringwall audit tail -f`'),
      ['ringwall chek', 'ringwall check --jsn'],
    );
  });
});

const unable = await whyNoSystem();
describe('a running system', { skip: unable ?? false, concurrency: true }, () => {
  for (const page of pages.filter(({ text }) => text.startsWith('<!-- docs-test: running -->'))) {
    test(`${page.path}: all commands print what the page shows`, { timeout: 60_000 }, async () => {
      const cwd = await sandbox(page);
      const ports = await movePorts(cwd);
      const up = await startSystem(cwd);
      try {
        const steps = stepsOf(page).filter(({ command }) => !isLeftOut(command));
        for (const step of steps.filter(({ command }) => isUp(command)))
          compare(page, step, up.printed(), ports);
        await play(
          page,
          steps.filter(({ command }) => !isUp(command)),
          cwd,
          ports,
        );
      } finally {
        await up.end();
      }
    });
  }
});

// ---- pages

async function readPages(): Promise<Page[]> {
  const guide = (await readdir(join(root, 'docs/guide'))).filter(name => name.endsWith('.md'));
  const others = [
    'README.md',
    'ARCHITECTURE.md',
    'SECURITY.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'docs/reference/cli.md',
    'docs/reference/model.md',
  ];
  const paths = [...others, ...guide.map(name => `docs/guide/${name}`)];
  return Promise.all(paths.map(async path => parsePage(path, await readFile(join(root, path), 'utf8'))));
}

function parsePage(path: string, text: string): Page {
  const blocks: Block[] = [];
  for (const match of text.matchAll(/^```(\S*)([^\n]*)\n([\s\S]*?)^```$/gm)) {
    const [, language = '', info = '', body = ''] = match;
    const line = text.slice(0, match.index).split('\n').length;
    blocks.push({
      language,
      words: info
        .trim()
        .split(/\s+/)
        .filter(word => word !== ''),
      text: body,
      line,
    });
  }
  return { path, text, blocks };
}

function stepsOf({ blocks }: Page): Step[] {
  const steps: { command: string; lines: string[]; line: number }[] = [];
  for (const block of blocks.filter(({ language }) => language === 'console')) {
    for (const [index, line] of block.text.trimEnd().split('\n').entries()) {
      if (line.startsWith('$ '))
        steps.push({ command: line.slice(2), lines: [], line: block.line + index + 1 });
      else steps.at(-1)?.lines.push(line);
    }
  }
  return steps.map(({ command, lines, line }) => ({ command, expected: lines.join('\n'), line }));
}

/** A folder with what the page's commands find there: the examples and the files that the page shows. */
async function sandbox(page: Page): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ringwall-docs-'));
  folders.push(folder);
  await cp(join(root, 'examples'), join(folder, 'examples'), {
    recursive: true,
    filter: source => !source.includes('.ringwall'),
  });
  for (const { words, text } of page.blocks) {
    const name = words.find(word => word.startsWith('file='))?.slice('file='.length);
    if (name === undefined) continue;
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

// ---- commands

const SELF_CONTAINED = new Set(['init', 'import', 'check', 'explain', 'plan', 'help', '--version', '--help']);

function isSelfContained({ command }: Step): boolean {
  const [name, ...rest] = wordsOf(command);
  if (name === undefined || /[|><;$]/.test(command)) return false;
  return (
    (SELF_CONTAINED.has(name) && !rest.includes('--request')) ||
    rest.includes('--help') ||
    (name === 'prove' && rest.includes('--list'))
  );
}

/** What follows `ringwall`; nothing for another command. */
function wordsOf(command: string): string[] {
  const match = /^(?:npx )?ringwall (.*)$/.exec(command);
  return match?.[1]?.match(/"[^"]*"|'[^']*'|\S+/g)?.map(word => word.replace(/^(["'])(.*)\1$/, '$2')) ?? [];
}

async function runInProcess(command: string, cwd: string): Promise<string> {
  let printed = '';
  const print = (text: string): void => {
    printed += text;
  };
  const io: Io = { out: print, err: print, cwd, env: {}, colour: false };
  await runCommand(wordsOf(command), io);
  return printed;
}

function isAsShown(expected: string, printed: string): boolean {
  const pattern = settle(expected)
    .split('\n')
    .map(line => (line === '…' ? '(?:[^\n]*\n)*?' : `${line.split('…').map(escape).join('[^\n]*')}\n`))
    .join('');
  return new RegExp(`^${pattern}$`).test(`${settle(printed)}\n`);
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Without what differs from run to run: lengths of time, moments, ids, keys, and the padding after them. */
function settle(text: string): string {
  return (
    text
      .trimEnd()
      .replaceAll('\r', '')
      .replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>')
      .replace(/\d{4}-\d\d-\d\dT[\d:.Z+-]+/g, '<moment>')
      .replace(/\b\d+(?:\.\d+)? (?:ms|s|min)\b/g, '<time>')
      .replace(/(x-ringwall-anonymous: )\S+/g, '$1<id>')
      .replace(/\banonymous [\w-]{22}/g, 'anonymous <id>')
      .replace(/ [\w-]{22} → /g, ' <id> → ')
      .replace(/\/[0-9a-f]{16}\//g, '/<epoch>/')
      // In which order the records of two points arrive is open.
      .replace(/^ *\d+ +<moment>/gm, '<index>  <moment>')
      .replace(/\b(entry|all|with) \d+/g, '$1 <number>')
      .replace(/(records of this request: )[\d, ]+/g, '$1<numbers>')
      .replace(/ {2,}/g, '  ')
  );
}

// ---- models, links, names

function faultsOf({ language, words, text }: Block): string[] {
  if (language !== 'yaml') return [];
  const isFile = words.some(word => word.startsWith('file='));
  const isComment = text
    .trim()
    .split('\n')
    .every(line => line.startsWith('#'));
  if (words.length === 0 && !isComment) return ['neither `model` nor `fragment` nor a file'];
  if (words.includes('model')) {
    const outcome = parseModel({ file: 'model.yaml', text, directory: root });
    return outcome.kind === 'invalid' ? outcome.problems.map(({ message }) => message) : [];
  }
  return isFile || words.includes('fragment')
    ? parseAllDocuments(text).flatMap(({ errors }) => errors.map(({ message }) => message))
    : [];
}

async function deadLinks({ path, text }: Page): Promise<string[]> {
  const dead: string[] = [];
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '');
  for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file = '', anchor] = target.split('#');
    const found = file === '' ? join(root, path) : resolve(root, dirname(path), file);
    const isInside = !relative(root, found).startsWith('..');
    if (!isInside || !existsSync(found)) dead.push(target);
    else if (anchor !== undefined && !anchorsOf(await readFile(found, 'utf8')).has(anchor)) dead.push(target);
  }
  return dead;
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)];
  return new Set(
    headings.map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

async function unknownWords(text: string): Promise<string[]> {
  const program = await loadProgram();
  const unknown: string[] = [];
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '');
  for (const [, phrase = ''] of prose.matchAll(/`(?:npx )?(ringwall [^`]+)`/g)) {
    let command: Command = program;
    const words = phrase.split(/\s+/).slice(1);
    while (words.length > 0) {
      const child = command.commands.find(candidate => candidate.name() === words[0]);
      if (child === undefined) break;
      command = child;
      words.shift();
    }
    const isCommand =
      command !== program || words[0]?.startsWith('-') === true || /^[<…]/.test(words[0] ?? '');
    const known = [...command.options, ...COMMON].flatMap(({ short, long }) => [short, long]);
    if (!isCommand || words.some(word => /^--?[a-z]/.test(word) && !known.includes(word)))
      unknown.push(phrase);
  }
  return unknown;
}

const COMMON = [
  { short: '-h', long: '--help' },
  { short: undefined, long: '--version' },
];

async function loadProgram(): Promise<Command> {
  const io: Io = { out: () => {}, err: () => {}, cwd: root, env: {}, colour: false };
  const program = new Command('ringwall');
  for (const { load } of COMMANDS.values()) program.addCommand((await load())(io, () => {}));
  return program;
}

// ---- a running system

async function whyNoSystem(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'needs Linux and root: the pages show the network ring';
  for (const tool of ['ip', 'nft', 'curl']) {
    if (!(await isThere(tool))) return `needs ${tool}`;
  }
  return undefined;
}

async function isThere(tool: string): Promise<boolean> {
  return run('sh', ['-c', `command -v ${tool}`]).then(
    () => true,
    () => false,
  );
}

type Ports = readonly (readonly [shown: string, real: string])[];

/** Other tests, and whoever develops here, may use the ports of the example: its copy gets ports of its own. */
async function movePorts(cwd: string): Promise<Ports> {
  const ports: Ports = [
    ['4443', String(await freePort())],
    ['4445', String(await freePort())],
  ];
  for (const file of ['ringwall.yaml', 'services/accounts.ts']) {
    const path = join(cwd, 'examples/boutique', file);
    await writeFile(path, withPorts(await readFile(path, 'utf8'), ports));
  }
  return ports;
}

function withPorts(text: string, ports: Ports): string {
  return ports.reduce((so, [shown, real]) => so.replaceAll(shown, real), text);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise(done => server.close(done));
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

const BIN = join(root, 'bin/ringwall');

type Up = { readonly printed: () => string; readonly end: () => Promise<void> };

async function startSystem(cwd: string): Promise<Up> {
  const child: ChildProcess = spawn(process.execPath, [BIN, 'up', 'examples/boutique/ringwall.yaml'], {
    cwd,
    env: { ...process.env, NO_COLOR: '1' },
  });
  let printed = '';
  const { promise: isReady, resolve: ready, reject } = Promise.withResolvers<void>();
  const gone = new Promise<void>(done => child.once('exit', () => done()));
  const take = (part: Buffer): void => {
    printed += part.toString();
    if (/^ {2}end .*$/m.test(printed)) ready();
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  void gone.then(() => reject(new Error(`up ended: ${printed}`)));
  await isReady;
  return {
    printed: () => printed,
    end: async () => {
      child.kill('SIGINT');
      await gone;
    },
  };
}

/** `npm ci` is not for a test, and a whole proof has tests of its own. */
function isLeftOut(command: string): boolean {
  return command.startsWith('npm ci') || /ringwall prove(?! --)/.test(command);
}

function isUp(command: string): boolean {
  return command === 'npm start' || /^(?:npx )?ringwall up /.test(command);
}

/** In one shell, so that variables stay. */
async function play(page: Page, steps: readonly Step[], cwd: string, ports: Ports): Promise<void> {
  const script = [
    'ringwall() { "$RINGWALL_NODE" "$RINGWALL_BIN" "$@"; }',
    ...steps.map(({ command }) => `${pauseBefore(command)}${withPorts(command, ports)}; printf '\\036'`),
  ].join('\n');
  const env = { ...process.env, NO_COLOR: '1', RINGWALL_NODE: process.execPath, RINGWALL_BIN: BIN };
  const { stdout } = await run('bash', ['-c', `exec 2>&1\n${script}`], { cwd, env });
  for (const [index, printed] of stdout.split('\u001e').slice(0, -1).entries()) {
    const step = steps[index];
    if (step !== undefined) compare(page, step, printed, ports);
  }
}

/** Records are at control within a second; who reads a page is slower than a shell. */
function pauseBefore(command: string): string {
  return /ringwall (?:audit (?:tail|search|prove)|explain --request)/.test(command) ? 'sleep 1; ' : '';
}

function compare(page: Page, { command, expected, line }: Step, printed: string, ports: Ports): void {
  const shown = withPorts(expected, ports);
  assert.ok(
    isAsShown(shown, printed),
    `${page.path}:${line}: $ ${command}\nshown:\n${settle(shown)}\nprinted:\n${settle(printed)}`,
  );
}
