import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CodedError } from '#base/error';
import { COMMANDS } from './commands.ts';
import { EXIT, type Io } from './io.ts';
import { describeFailure } from './main.ts';
import { runCommand } from './run-command.ts';

const PROGRAM = fileURLToPath(new URL('../../../bin/ringwall', import.meta.url));
const directory = await mkdtemp(join(tmpdir(), 'ringwall-cli-'));
after(() => rm(directory, { recursive: true }));

test('runCommand() prints help with every command for people, and examples', async () => {
  const { code, out } = await run(['--help']);
  assert.equal(code, EXIT.ok);
  for (const [name, { hidden }] of COMMANDS)
    assert.equal(new RegExp(`^  ${name}\\b`, 'm').test(out), hidden !== true, name);
  assert.match(out, /Examples:/);
});

test('every command has help with an example, under its own name', async () => {
  for (const name of COMMANDS.keys()) {
    const { code, out } = await run([name, '--help']);
    assert.equal(code, EXIT.ok, name);
    assert.match(out, new RegExp(`Usage: (ringwall )?${name}\\b`), name);
    if (name !== 'point') assert.match(out, new RegExp(`ringwall ${name}\\b`), name);
  }
});

test('runCommand() without a command shows help as an error', async () => {
  const { code, out, err } = await run([]);
  assert.equal(code, EXIT.usage);
  assert.equal(out, '');
  assert.match(err, /Usage: ringwall/);
});

test('runCommand() names the nearest command for one that does not exist', async () => {
  const { code, err } = await run(['chekc']);
  assert.equal(code, EXIT.usage);
  assert.match(err, /^ringwall: unknown command 'chekc'\n\(Did you mean check\?\)/);
});

for (const argv of [
  ['check', '--no-such-option'],
  ['explain'],
  ['up', '--port', '0'],
  ['up', '--port', '4443x'],
  ['up', 'a', 'b'],
  ['--no'],
]) {
  test(`runCommand() refuses ${argv.join(' ')} with one message`, async () => {
    const { code, err } = await run(argv);
    assert.equal(code, EXIT.usage);
    assert.match(err, /^ringwall: /);
  });
}

for (const name of ['__proto__', 'constructor', 'toString']) {
  test(`runCommand() does not take ${name} for a command`, async () => {
    assert.equal((await run([name])).code, EXIT.usage);
  });
}

test('runCommand() prints the version of the package', async () => {
  const manifest = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  assert.deepEqual(await run(['--version']), { code: EXIT.ok, out: `${manifest.version}\n`, err: '' });
});

test('runCommand() gives the exit code of the command', async () => {
  const { code, err } = await run(['check', 'none.yaml']);
  assert.equal(code, EXIT.noInput);
  assert.match(err, /^ringwall: no file `none\.yaml`/);
});

test('describeFailure() is one line, with the stack only for those who ask', () => {
  const error = new Error('a\nb');
  assert.equal(
    describeFailure(error, {}),
    'ringwall: a (a fault of Ringwall itself; RINGWALL_DEBUG=1 shows where)',
  );
  assert.match(describeFailure(error, { RINGWALL_DEBUG: '1' }), /ringwall: Error: a\nb\n {4}at /);
  assert.equal(describeFailure(new CodedError('x', 'disk full'), {}), 'ringwall: disk full');
  assert.equal(describeFailure('text', {}), 'ringwall: text');
});

test('bin/ringwall runs without a word about experiments, and passes exit codes on', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [PROGRAM, '--version']);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  assert.equal(stderr, '');
  await assert.rejects(
    promisify(execFile)(process.execPath, [PROGRAM, 'check', 'none.yaml'], { cwd: directory }),
    { code: 66 },
  );
});

test('bin/ringwall shows warnings that are not about experiments', async () => {
  const warn = join(directory, 'warn.cjs');
  await writeFile(warn, "setTimeout(() => process.emitWarning('real'), 0); setTimeout(() => {}, 50)");
  const { stderr } = await promisify(execFile)(process.execPath, ['--require', warn, PROGRAM, '--version']);
  assert.match(stderr, /Warning: real/);
});

test('bin/ringwall ends quietly when nobody reads its output', async () => {
  const child = spawn('sh', [
    '-c',
    `"$0" "$1" --help | head -n 1 >/dev/null; echo done`,
    process.execPath,
    PROGRAM,
  ]);
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  await once(child, 'close');
  assert.equal(errors, '');
});

/** Makes a Node believe that it is another. */
async function pretend(version: string): Promise<string> {
  const path = join(directory, `pretend-${version}.cjs`);
  await writeFile(
    path,
    `if (process.argv[1] === ${JSON.stringify(PROGRAM)} || process.argv[1].startsWith(${JSON.stringify(directory)})) {
    Object.defineProperty(process.versions, 'node', { value: '${version}' });
    process.versions.node === '${version}' || process.exit(9);
  }`,
  );
  return path;
}

for (const version of ['16.20.2', '20.20.2', '23.11.0']) {
  test(`bin/ringwall hands over to the bundled runtime on Node ${version}`, async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--require',
      await pretend(version),
      PROGRAM,
      '--version',
    ]);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });
}

for (const { where, folder, says } of [
  { where: 'a clone', folder: 'src', says: 'run `npm ci` in .*' },
  { where: 'a package', folder: 'dist', says: 'install a newer Node, .*`npm install node@24`' },
]) {
  test(`bin/ringwall says in one line what to do when ${where} has no runtime`, async () => {
    const home = join(directory, where.replace(' ', '-'));
    await cp(join(PROGRAM, '..'), join(home, 'bin'), { recursive: true });
    await mkdir(join(home, folder));
    await assert.rejects(
      promisify(execFile)(process.execPath, [
        '--require',
        await pretend('20.20.2'),
        join(home, 'bin/ringwall'),
      ]),
      {
        code: 1,
        stderr: new RegExp(`^ringwall: needs Node 24 or later, this is 20\\.20\\.2; ${says}\n$`),
      },
    );
  });
}

async function run(argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const io: Io = {
    out: text => (out += text),
    err: text => (err += text),
    cwd: directory,
    env: {},
    colour: false,
  };
  const code = await runCommand(argv, io);
  return { code, out, err };
}
