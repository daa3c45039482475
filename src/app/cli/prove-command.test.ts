import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CATALOGUE } from '#domain/attack';
import { EXIT, type Io } from './io.ts';
import { runCommand } from './run-command.ts';

async function run(t: { after: (done: () => Promise<void>) => void }, ...argv: string[]) {
  const cwd = await mkdtemp(join(tmpdir(), 'ringwall-prove-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  let out = '';
  let err = '';
  const io: Io = {
    out: text => void (out += text),
    err: text => void (err += text),
    cwd,
    env: {},
    colour: false,
  };
  return { code: await runCommand(['prove', ...argv], io), out, err };
}

test('prove says that nothing runs, and that it could not check (2)', async t => {
  const { code, out, err } = await run(t);
  assert.equal(code, EXIT.undecided);
  assert.equal(out, '');
  assert.match(err, /nothing runs on `.*`: start it with `ringwall up`/);
});

test('prove --list prints every attack with its references, also when nothing runs', async t => {
  const { code, out } = await run(t, '--list');
  assert.equal(code, EXIT.ok);
  for (const { id, references } of CATALOGUE)
    assert.ok(out.includes(id) && out.includes(references.join(', ')), id);
});

test('prove --list --json - gives the catalogue to programs', async t => {
  const { code, out } = await run(t, '--list', '--ring', 'vetting', '--json', '-');
  assert.equal(code, EXIT.ok);
  const facts = JSON.parse(out) as { ring: string }[];
  assert.ok(facts.length >= 35 && facts.every(({ ring }) => ring === 'vetting'));
});

test('prove refuses a ring that does not exist (64)', async t => {
  const { code, err } = await run(t, '--ring', 'moat');
  assert.equal(code, EXIT.usage);
  assert.match(err, /edge/);
});
