import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { termsOf } from './entry-terms.ts';
import { sampleRecord } from './ledger-lab.ts';
import { SearchIndex, type IndexedEntry } from './search-index.ts';

const EPOCH = 'aaaaaaaaaaaaaaaa';
/** Two whole blocks, and some of a third. */
const ENTRIES = 2 * 16_384 + 100;

function entryAt(index: number): IndexedEntry {
  const origin = { point: 'gateway', epoch: EPOCH, seq: index + 1 };
  return {
    index,
    leafHash: Buffer.alloc(32, index % 251),
    terms: termsOf({ kind: 'record', origin, record: sampleRecord(index) }),
  };
}

function entries(from: number, to: number): IndexedEntry[] {
  return Array.from({ length: to - from }, (_, at) => entryAt(from + at));
}

const byRequest = (index: SearchIndex, number: number) =>
  index.search({ requestId: sampleRecord(number).requestId, limit: 10 });

async function newFile(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-index-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return join(directory, 'index.db');
}

test('search() finds a request in whole blocks, in the block that grows, and after a restart', async t => {
  const file = await newFile(t);
  let index = SearchIndex.open(file);
  for (let from = 0; from < ENTRIES; from += 256) index.add(entries(from, Math.min(ENTRIES, from + 256)));
  const places = [0, 1, 16_383, 16_384, 32_767, 32_768, ENTRIES - 1];
  const check = async () => {
    for (const place of places) assert.deepEqual(await byRequest(index, place), [place]);
    for (const nowhere of [ENTRIES, ENTRIES + 1, 999_999])
      assert.deepEqual(await byRequest(index, nowhere), []);
  };
  await check();
  index.close();
  index = SearchIndex.open(file);
  await check();
  index.add(entries(ENTRIES, 3 * 16_384 + 1));
  places.push(ENTRIES, 3 * 16_384);
  assert.deepEqual(await byRequest(index, ENTRIES), [ENTRIES]);
  for (const place of places) assert.deepEqual(await byRequest(index, place), [place]);
  index.close();
});

test('search() passes over entries without a request', async () => {
  const index = SearchIndex.open(':memory:');
  const origin = { point: 'gateway', epoch: EPOCH, seq: 1 };
  const record = sampleRecord(1, { requestId: '', decision: 'refused', reason: 'peer-unverified' });
  index.add([{ index: 0, leafHash: Buffer.alloc(32), terms: termsOf({ kind: 'record', origin, record }) }]);
  assert.deepEqual(await index.search({ requestId: '', limit: 10 }), []);
  assert.deepEqual(await index.search({ decision: 'refused', limit: 10 }), [0]);
  index.close();
});

test('truncate() forgets requests, and what comes in their place is found', async () => {
  for (const left of [0, 16_384, 20_000]) {
    const index = SearchIndex.open(':memory:');
    index.add(entries(0, ENTRIES));
    index.truncate(left);
    assert.equal(index.nextIndex, left);
    assert.deepEqual(await byRequest(index, left), []);
    if (left > 0) assert.deepEqual(await byRequest(index, left - 1), [left - 1]);
    index.add(entries(left, ENTRIES));
    for (const place of [Math.max(0, left - 1), left, left + 1, 32_768])
      assert.deepEqual(await byRequest(index, place), [place], `${left} left`);
    index.close();
  }
});

test('add() leaves nothing of entries that it could not add', async () => {
  const index = SearchIndex.open(':memory:');
  index.add(entries(0, 16_380));
  const bad = { ...entryAt(16_390), leafHash: undefined as unknown as Uint8Array };
  for (let round = 0; round < 2; round += 1) {
    assert.throws(() => index.add([...entries(16_380, 16_390), bad]));
    assert.equal(index.nextIndex, 16_380);
    assert.deepEqual(await byRequest(index, 16_385), []);
    assert.deepEqual(await byRequest(index, 16_379), [16_379]);
  }
  index.add(entries(16_380, 16_400));
  for (const place of [5, 16_380, 16_383, 16_384, 16_399])
    assert.deepEqual(await byRequest(index, place), [place]);
  index.close();
});

test('open() makes an index of another version again, and keeps its files to the owner', async t => {
  const file = await newFile(t);
  await writeFile(file, '', { mode: 0o644 });
  const index = SearchIndex.open(file);
  index.add(entries(0, 10));
  for (const name of [file, `${file}-wal`, `${file}-shm`])
    assert.equal((await stat(name)).mode & 0o777, 0o600, name);
  index.close();
  const bytes = await readFile(file);
  bytes.writeUInt32BE(1, 60);
  await writeFile(file, bytes);
  const again = SearchIndex.open(file);
  assert.equal(again.nextIndex, 0);
  again.close();
});
