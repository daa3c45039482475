import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { importCommand } from './import-command.ts';
import { EXIT, type ExitCode } from './io.ts';

const COMPOSE = `services:
  web: { image: web, ports: ["8080:80"], environment: { API_URL: "http://\${API}:4000" } }
  api: { image: api }
`;
const POD = 'apiVersion: v1\nkind: Pod\nmetadata: { name: one }\nspec: { containers: [{ image: one }] }\n';

let cwd = '';
before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'ringwall-import-'));
  await mkdir(join(cwd, 'shop', 'k8s', 'sub'), { recursive: true });
  await mkdir(join(cwd, 'empty'));
  await writeFile(join(cwd, 'shop', 'k8s', 'one.yaml'), POD);
  await writeFile(join(cwd, 'shop', 'k8s', 'sub', 'two.yml'), POD.replaceAll('one', 'two'));
  await writeFile(join(cwd, 'shop', 'k8s', 'broken.yaml'), 'kind: [\n');
  await writeFile(join(cwd, 'shop', 'k8s', 'notes.txt'), 'kind: Pod');
  await writeFile(join(cwd, 'compose.yaml'), COMPOSE);
  await writeFile(join(cwd, '.env'), 'API=api\n');
});
after(() => rm(cwd, { recursive: true }));

async function run(
  args: readonly string[],
  stdin = '',
): Promise<{ code: ExitCode | undefined; out: string; err: string }> {
  let out = '';
  let err = '';
  let code: ExitCode | undefined;
  const io = {
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    cwd,
    env: {},
    colour: false,
  };
  const command = importCommand(
    io,
    given => {
      code = given;
    },
    () => Promise.resolve(stdin),
  );
  await command.parseAsync([...args], { from: 'user' });
  return { code, out, err };
}

test('import kubernetes reads folders, names the system after them, and goes on after a broken file', async () => {
  const { code, out, err } = await run(['kubernetes', 'shop/k8s']);
  assert.equal(code, EXIT.ok);
  assert.match(out, /^system: shop$/m);
  assert.match(out, /^ {2}one:/m);
  assert.match(out, /^ {2}two: .*# from Pod two, sub\/two\.yml:3$/m);
  assert.match(err, /^shop\/k8s\/broken\.yaml:\d+:\d+: not YAML: /m);
  assert.match(err, /imported: 2 services, 0 calls, 0 routes/);
});

test('import kubernetes reads standard input', async () => {
  const { code, out } = await run(['kubernetes', '-', '--system', 'My Shop'], POD);
  assert.equal(code, EXIT.ok);
  assert.match(out, /^system: my-shop$/m);
  assert.match(out, /from Pod one, stdin:3/);
});

test('import compose writes the file, with the variables of .env', async () => {
  const { code, out, err } = await run([
    'compose',
    'compose.yaml',
    '-o',
    'ringwall.yaml',
    '--system',
    'shop',
  ]);
  assert.deepEqual([code, out], [EXIT.ok, '']);
  assert.match(err, /wrote ringwall\.yaml: 2 services, 5 calls, 1 route/);
  assert.match(await readFile(join(cwd, 'ringwall.yaml'), 'utf8'), /api: \[GET/);
});

test('import keeps an output file that somebody has worked on, unless told', async () => {
  const args = ['compose', 'compose.yaml', '-o', 'kept.yaml'];
  assert.equal((await run(args)).code, EXIT.ok);
  assert.equal((await run(args)).code, EXIT.ok);
  await writeFile(join(cwd, 'kept.yaml'), 'mine\n');
  const refused = await run(args);
  assert.equal(refused.code, EXIT.cannotCreate);
  assert.match(refused.err, /is there already and differs/);
  assert.equal(await readFile(join(cwd, 'kept.yaml'), 'utf8'), 'mine\n');
  assert.equal((await run([...args, '--force'])).code, EXIT.ok);
  assert.notEqual(await readFile(join(cwd, 'kept.yaml'), 'utf8'), 'mine\n');
});

test('import --json gives the model and all that was found', async () => {
  const { out } = await run(['compose', 'compose.yaml', '--json']);
  const found = JSON.parse(out) as {
    model: string;
    services: { name: string; calls: { to: string; at: { line: number } }[] }[];
  };
  assert.match(found.model, /^apiVersion: ringwall.dev\/v1$/m);
  assert.deepEqual(
    found.services[0]?.calls.map(({ to, at }) => `${to}:${at.line}`),
    ['api:2'],
  );
});

const REFUSED: readonly {
  readonly args: readonly string[];
  readonly code: ExitCode;
  readonly message: RegExp;
}[] = [
  {
    args: ['kubernetes', 'nowhere'],
    code: EXIT.noInput,
    message: /cannot read `nowhere`: no such file or folder/,
  },
  {
    args: ['kubernetes', 'empty'],
    code: EXIT.noInput,
    message: /nothing that runs was found in `empty` \(0 files\)/,
  },
  {
    args: ['kubernetes', 'shop/k8s/broken.yaml'],
    code: EXIT.noInput,
    message: /broken\.yaml:\d+:\d+: not YAML[^]*nothing that runs/,
  },
  { args: ['kubernetes', 'compose.yaml'], code: EXIT.noInput, message: /1 document is no Kubernetes object/ },
  { args: ['compose', 'shop/k8s/one.yaml'], code: EXIT.noInput, message: /nothing that runs/ },
  {
    args: ['compose', 'compose.yaml', '-o', 'no/such/folder.yaml'],
    code: EXIT.cannotCreate,
    message: /its folder does not exist/,
  },
];
for (const { args, code, message } of REFUSED) {
  test(`import ${args.join(' ')} exits ${code} with one clear message`, async () => {
    const result = await run(args);
    assert.equal(result.code, code);
    assert.match(result.err, message);
    assert.equal(result.out, '');
  });
}
