import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isPortFree, openPortBook } from '#service/network';

const root = await mkdtemp(join(tmpdir(), 'ringwall-ports-'));
after(() => rm(root, { recursive: true }));

test('assign() gives every purpose a port of its own, the same in the next run', async () => {
  const directory = await mkdtemp(join(root, 'p-'));
  const purposes = Array.from({ length: 200 }, (_, index) => `purpose/${index}`);
  const first = await (await openPortBook(directory, new Set())).assign(purposes);
  assert.equal(new Set(first.values()).size, 200);
  assert.deepEqual(await (await openPortBook(directory, new Set())).assign(purposes), first);
});

test('assign() leaves purposes that it placed where they are', async () => {
  const book = await openPortBook(await mkdtemp(join(root, 'p-')), new Set());
  const before = await book.assign(['a']);
  // Its own process listens there by now.
  const server = createServer().listen(before.get('a'), '127.0.0.1');
  await once(server, 'listening');
  const later = await book.assign(['b', 'a']);
  assert.equal(later.get('a'), before.get('a'));
  assert.notEqual(later.get('b'), before.get('a'));
  server.close();
});

test('assign() prefers what is asked for when it is free, and never what is reserved or used', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const used = (server.address() as AddressInfo).port;
  const [free, reserved] = [await freePort(), await freePort()];
  const book = await openPortBook(await mkdtemp(join(root, 'p-')), new Set([reserved]));
  const ports = await book.assign(
    ['a', 'b', 'c', 'd'],
    new Map([
      ['a', free],
      ['b', free],
      ['c', used],
      ['d', reserved],
    ]),
  );
  assert.equal(ports.get('a'), free);
  for (const purpose of ['b', 'c', 'd']) assert.ok(![free, used, reserved].includes(ports.get(purpose) ?? 0));
  server.close();
});

test('assign() moves a purpose whose port somebody else has taken since', async () => {
  const directory = await mkdtemp(join(root, 'p-'));
  const before = (await (await openPortBook(directory, new Set())).assign(['a'])).get('a');
  const server = createServer().listen(before, '127.0.0.1');
  await once(server, 'listening');
  assert.notEqual((await (await openPortBook(directory, new Set())).assign(['a'])).get('a'), before);
  server.close();
});

for (const content of ['', '{', '{"ports":{"a":0}}', '{"ports":{"a":"x"}}', '[]']) {
  test(`openPortBook() starts anew from ${JSON.stringify(content)}`, async () => {
    const directory = await mkdtemp(join(root, 'p-'));
    await writeFile(join(directory, 'ports.json'), content);
    assert.ok(((await (await openPortBook(directory, new Set())).assign(['a'])).get('a') ?? 0) >= 15_000);
  });
}

test('isPortFree() sees a listener on loopback', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  assert.equal(await isPortFree(port), false);
  server.close();
  await once(server, 'close');
  assert.equal(await isPortFree(port), true);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
