import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { asStateFault, makeStateDirectory, rememberEntries } from './state-directory.ts';
import { UpError } from './up-error.ts';

const root = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-state-')));
after(() => rm(root, { recursive: true }));

test('makeStateDirectory() makes what is missing for this user alone, and leave() removes just that', async () => {
  const state = await makeStateDirectory(join(root, 'a/b/c'));
  assert.equal(state.path, join(root, 'a/b/c'));
  for (const made of ['a', 'a/b', 'a/b/c']) assert.equal((await stat(join(root, made))).mode & 0o777, 0o700);
  await state.leave();
  assert.deepEqual(await readdir(root), []);
});

test('leave() spares what was there, what holds something, and what is above it', async () => {
  await mkdir(join(root, 'here'));
  const there = await makeStateDirectory(join(root, 'here'));
  await there.leave();
  assert.deepEqual(await readdir(root), ['here']);
  const state = await makeStateDirectory(join(root, 'here/x/y'));
  await writeFile(join(root, 'here/x/mine'), '');
  await state.leave();
  assert.deepEqual(await readdir(join(root, 'here')), ['x']);
  assert.deepEqual(await readdir(join(root, 'here/x')), ['mine']);
});

test('makeStateDirectory() follows links and gives the place that they lead to', async () => {
  await mkdir(join(root, 'target'));
  await symlink(join(root, 'target'), join(root, 'link'));
  assert.equal((await makeStateDirectory(join(root, 'link'))).path, join(root, 'target'));
});

test('makeStateDirectory() refuses a file, what is below one, a dead link, and what the system forbids', async () => {
  await writeFile(join(root, 'file'), '');
  await symlink(join(root, 'nowhere'), join(root, 'dead'));
  await mkdir(join(root, 'shut'));
  await chmod(join(root, 'shut'), 0o500);
  const paths = [join(root, 'file'), join(root, 'file/x'), join(root, 'dead')];
  if (process.platform === 'linux') paths.push('/proc/ringwall', '/proc/ringwall/x');
  if (process.getuid?.() !== 0) paths.push(join(root, 'shut/x'));
  for (const path of paths) {
    await assert.rejects(makeStateDirectory(path), { code: 'no-state-directory' }, path);
  }
});

test('rememberEntries() removes what has come since, with all below it, but for what is spared', async () => {
  const directory = await mkdtemp(join(root, 'entries-'));
  await mkdir(join(directory, 'old'));
  const forget = await rememberEntries(directory);
  await mkdir(join(directory, 'new/deep'), { recursive: true });
  await writeFile(join(directory, 'new/deep/file'), '');
  await writeFile(join(directory, 'old/more'), '');
  await mkdir(join(directory, 'logs'));
  await forget(['logs']);
  assert.deepEqual((await readdir(directory)).sort(), ['logs', 'old']);
  assert.deepEqual(await readdir(join(directory, 'old')), ['more']);
});

test('asStateFault() words failures below the directory, and leaves all others as they are', async () => {
  const path = join(root, 'gone/x');
  const below = await writeFile(path, '').catch((error: unknown) => error);
  const worded = await asStateFault(root, below);
  assert.ok(worded instanceof UpError && worded.message.endsWith('choose another one with --state'));
  const elsewhere = await writeFile('/ringwall/none', '').catch((error: unknown) => error);
  for (const error of [elsewhere, new TypeError('ours'), new UpError('interrupted', 'x'), 'text']) {
    assert.equal(await asStateFault(root, error), error);
  }
});
