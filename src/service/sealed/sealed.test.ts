import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openSealer, writeFileAtomically } from '#service/sealed';

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ringwall-sealed-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

const open = (dir: string, whenMissing: 'create' | 'refuse' = 'create') =>
  openSealer({ keyFile: join(dir, 'key'), whenMissing });

test('a sealed file opens again under the same key file, with mode 0600 on both', async t => {
  const dir = await directory(t);
  const path = join(dir, 'secret.sealed');
  await (await open(dir)).writeFile(path, 'secret', Buffer.from('words'));
  assert.equal((await (await open(dir, 'refuse')).readFile(path, 'secret'))?.toString(), 'words');
  assert.equal((await readFile(path)).includes('words'), false);
  for (const file of [path, join(dir, 'key')]) assert.equal((await stat(file)).mode & 0o777, 0o600);
});

test('the same bytes are sealed differently each time', async t => {
  const sealer = await open(await directory(t));
  assert.notDeepEqual(sealer.seal('a', Buffer.from('x')), sealer.seal('a', Buffer.from('x')));
});

test('open() refuses every single flipped bit', async t => {
  const sealer = await open(await directory(t));
  const sealed = sealer.seal('a', Buffer.from('x'));
  for (let bit = 0; bit < sealed.byteLength * 8; bit++) {
    const flipped = Buffer.from(sealed);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(() => sealer.open('a', flipped), { name: 'SealedError' });
  }
});

test('open() refuses a cut file, another name and another key, and tells them apart', async t => {
  const sealer = await open(await directory(t));
  const other = await open(await directory(t));
  const sealed = sealer.seal('root key', Buffer.from('x'));
  for (const length of [0, 3, 12, 35, sealed.byteLength - 1]) {
    assert.throws(() => sealer.open('root key', sealed.subarray(0, length)), { code: 'damaged' });
  }
  assert.throws(() => sealer.open('issuing key', sealed), { code: 'damaged' });
  assert.throws(() => other.open('root key', sealed), { code: 'wrong-key' });
});

test('readFile() gives undefined for a file that is not there', async t => {
  const dir = await directory(t);
  assert.equal(await (await open(dir)).readFile(join(dir, 'none'), 'a'), undefined);
});

for (const mode of [0o640, 0o604, 0o660, 0o644]) {
  test(`openSealer() refuses a key file of mode ${mode.toString(8)}`, async t => {
    const dir = await directory(t);
    await open(dir);
    await chmod(join(dir, 'key'), mode);
    await assert.rejects(open(dir), { code: 'key-file-loose' });
    await chmod(join(dir, 'key'), 0o600);
    await open(dir);
  });
}

test('openSealer() refuses a missing, a short and a linked key file', async t => {
  const dir = await directory(t);
  await assert.rejects(open(dir, 'refuse'), { code: 'key-file-missing' });
  await writeFile(join(dir, 'key'), 'short', { mode: 0o600 });
  await assert.rejects(open(dir), { code: 'key-file-damaged' });
  await rm(join(dir, 'key'));
  await writeFile(join(dir, 'elsewhere'), Buffer.alloc(32, 1), { mode: 0o600 });
  await symlink(join(dir, 'elsewhere'), join(dir, 'key'));
  await assert.rejects(open(dir), { code: 'key-file-damaged' });
});

test('writeFileAtomically() leaves the former file and no draft when it fails', async t => {
  const dir = await directory(t);
  await writeFileAtomically(join(dir, 'a'), 'one');
  await writeFileAtomically(join(dir, 'a'), 'two');
  assert.equal(await readFile(join(dir, 'a'), 'utf8'), 'two');
  await assert.rejects(writeFileAtomically(join(dir, 'none', 'a'), 'three'));
  assert.deepEqual(await readdir(dir), ['a']);
});
