import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Command } from 'commander';
import { checkCommand } from './check-command.ts';
import type { Finish } from './finish.ts';
import { initCommand } from './init-command.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

type Ran = { readonly code: ExitCode | undefined; readonly out: string; readonly err: string };

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringwall-check-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function run(command: (io: Io, finish: Finish) => Command, ...words: string[]): Promise<Ran> {
  let code: ExitCode | undefined;
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    out: text => out.push(text),
    err: text => err.push(text),
    cwd: folder,
    env: {},
    colour: false,
  };
  const finish: Finish = given => {
    assert.equal(code, undefined, 'finishes once');
    code = given;
  };
  await command(io, finish).parseAsync(words, { from: 'user' });
  return { code, out: out.join(''), err: err.join('') };
}

const MODEL = `apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
edge:
  hosts:
    shop.test:
      - { path: /, methods: [GET], to: web, clients: [anonymous] }
services:
  web: { data: internal, listen: http 80, calls: { api: [GET /a, GET /b], db: [connect] } }
  api: { data: internal, listen: http 80 }
  db: { data: internal, listen: tcp 80 }
`;

describe('ringwall check', () => {
  test('sums up a good model', async () => {
    await writeFile(join(folder, 'ringwall.yaml'), MODEL);
    assert.deepEqual(await run(checkCommand), {
      code: EXIT.ok,
      out: 'shop: 3 services, 3 calls, 1 route: ok\n',
      err: '',
    });
  });

  test('shows warnings and exits 0', async () => {
    await writeFile(join(folder, 'warn.yaml'), `${MODEL}  job: { data: internal, listen: http 80 }\n`);
    const { code, out } = await run(checkCommand, 'warn.yaml');
    assert.equal(code, EXIT.ok);
    assert.equal(
      out,
      `warn.yaml:12:3: warning: nothing calls \`job\` and no route reaches it
12 |   job: { data: internal, listen: http 80 }
   |   ^^^

shop: 4 services, 3 calls, 1 route: ok, 1 warning
`,
    );
  });

  test('shows all errors with the file as it was named, and exits 64', async () => {
    await writeFile(
      join(folder, 'bad.yaml'),
      MODEL.replace('to: web', 'to: wep').replace('data: internal', 'data: intern'),
    );
    const { code, out, err } = await run(checkCommand, './bad.yaml');
    assert.equal(code, EXIT.usage);
    assert.equal(err, '');
    assert.match(out, /^\.\/bad\.yaml:7:40: error: no service is called `wep`\n/);
    assert.match(out, /\n {2}\| {40}\^\^\^\nhint: did you mean `web`\?\n\n/);
    assert.match(out, /\n\.\/bad\.yaml:9:16: error: /);
    assert.match(out, /\n\.\/bad\.yaml: 2 errors\n$/);
  });

  test('exits 66 without a file', async () => {
    const { code, out, err } = await run(checkCommand, 'none.yaml');
    assert.deepEqual([code, out], [EXIT.noInput, '']);
    assert.equal(err, 'ringwall: no file `none.yaml`; write a first model with `ringwall init`\n');
  });

  test('--json says the same', async () => {
    const good = await run(checkCommand, 'warn.yaml', '--json');
    assert.equal(good.code, EXIT.ok);
    const answer = JSON.parse(good.out) as { problems: object[] };
    assert.deepEqual(
      { ...answer, problems: answer.problems.length },
      { file: 'warn.yaml', ok: true, system: 'shop', services: 4, calls: 3, routes: 1, problems: 1 },
    );

    const bad = await run(checkCommand, 'bad.yaml', '--json');
    assert.equal(bad.code, EXIT.usage);
    const refused = JSON.parse(bad.out) as {
      ok: boolean;
      problems: { code: string; line: number; column: number; hint: string }[];
    };
    assert.equal(refused.ok, false);
    assert.deepEqual(
      refused.problems.map(({ code, line, column }) => [code, line, column]),
      [
        ['unknown-service', 7, 40],
        ['unknown-word', 9, 16],
      ],
    );

    const missing = await run(checkCommand, 'none.yaml', '--json');
    assert.equal(missing.code, EXIT.noInput);
    assert.equal((JSON.parse(missing.out) as { failure: { code: string } }).failure.code, 'missing');
  });
});

describe('ringwall init', () => {
  test('writes a model that passes check without a warning of carelessness', async () => {
    const written = await run(initCommand, 'new.yaml');
    assert.equal(written.code, EXIT.ok);
    assert.match(written.out, /^wrote new\.yaml\n/);
    const checked = await run(checkCommand, 'new.yaml');
    assert.deepEqual(checked, { code: EXIT.ok, out: 'shop: 6 services, 6 calls, 4 routes: ok\n', err: '' });
  });

  test('leaves an existing file alone', async () => {
    await writeFile(join(folder, 'mine.yaml'), 'mine');
    const { code, err } = await run(initCommand, 'mine.yaml');
    assert.equal(code, EXIT.cannotCreate);
    assert.equal(err, 'ringwall: `mine.yaml` exists; overwrite it with --force, or name another file\n');
    assert.equal(await readFile(join(folder, 'mine.yaml'), 'utf8'), 'mine');
  });

  test('overwrites with --force', async () => {
    assert.equal((await run(initCommand, 'mine.yaml', '--force')).code, EXIT.ok);
    assert.match(await readFile(join(folder, 'mine.yaml'), 'utf8'), /^# The model/);
  });

  test('says when there is no folder for it', async () => {
    const { code, err } = await run(initCommand, 'a/b.yaml');
    assert.deepEqual([code, err], [EXIT.cannotCreate, 'ringwall: no folder for `a/b.yaml`\n']);
  });
});
