import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ModelFileError, readModel } from './index.ts';

const MODEL = `apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
services:
  web: { data: internal, listen: http 80, run: { command: node, directory: sub } }
`;

describe('readModel()', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ringwall-model-file-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  const write = async (name: string, content: string | Uint8Array): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  const isRefused = (code: string) => (error: unknown) =>
    error instanceof ModelFileError && error.code === code;

  test('reads a model; its paths start from its folder, positions name it as asked', async () => {
    const path = await write('good.yaml', MODEL);
    const { text, parsed } = await readModel(path, 'shown.yaml');
    assert.equal(text, MODEL);
    assert.equal(parsed.kind, 'model');
    const web = parsed.model.services.get('web');
    assert.equal(web?.run?.directory, join(folder, 'sub'));
    assert.equal(web?.at.file, 'shown.yaml');
  });

  test('drops a byte order mark, so that columns count from the first letter', async () => {
    const { parsed } = await readModel(await write('bom.yaml', `\ufeffversion: 1\n${MODEL}`), 'm');
    assert.equal(parsed.kind, 'invalid');
    assert.deepEqual(parsed.problems[0]?.at, { file: 'm', line: 1, column: 1 });
  });

  test('gives the problems of a bad model as a result', async () => {
    const { parsed } = await readModel(await write('bad.yaml', 'a: ['));
    assert.equal(parsed.kind, 'invalid');
  });

  test('reads a file through a link', async () => {
    await write('target.yaml', MODEL);
    await symlink('target.yaml', join(folder, 'link.yaml'));
    assert.equal((await readModel(join(folder, 'link.yaml'))).parsed.kind, 'model');
  });

  test('refuses a missing file', () =>
    assert.rejects(readModel(join(folder, 'none.yaml')), isRefused('missing')));
  test('refuses a folder', () => assert.rejects(readModel(folder), isRefused('unreadable')));
  test('refuses a file below a file', async () => {
    const path = await write('file.yaml', MODEL);
    await assert.rejects(readModel(join(path, 'below.yaml')), isRefused('unreadable'));
  });
  test('refuses what is not UTF-8', async () => {
    await assert.rejects(
      readModel(await write('latin1.yaml', Buffer.from('system: caf\xe9\n', 'latin1'))),
      isRefused('not-text'),
    );
  });
  test('refuses a huge file without reading it all', async () => {
    const path = await write('huge.yaml', '');
    await truncate(path, 4 * 1024 ** 3);
    await assert.rejects(readModel(path), isRefused('too-large'));
  });
  test('names the file as the user did', async () => {
    await assert.rejects(
      readModel(join(folder, 'none.yaml'), 'none.yaml'),
      (error: Error) => !error.message.includes(folder),
    );
  });
});
