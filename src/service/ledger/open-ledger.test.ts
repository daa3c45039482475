import assert from 'node:assert/strict';
import { cp, mkdtemp, open as openFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { noteKey } from '#domain/merkle';
import { encodeRecord } from '#domain/record';
import { newSigner, sampleLines, sampleRecord } from './ledger-lab.ts';
import { LedgerError } from './ledger-error.ts';
import type { Ledger, LedgerOptions } from './ledger.ts';
import { MemoryFiles } from './memory-files.ts';
import { openLedger } from './open-ledger.ts';
import { verifyLedger } from './verify-ledger.ts';

const signer = newSigner();
const key = noteKey(signer.keyName, signer.publicKey);
const EPOCH = 'aaaaaaaaaaaaaaaa';
const PAGE_BYTES = 4_096;

const code = (expected: string) => (error: unknown) =>
  error instanceof LedgerError && error.code === expected;
const batch = (firstSeq: number, lines: string[], point = 'gateway') => ({
  point,
  epoch: EPOCH,
  firstSeq,
  lines,
});

function open(directory: string, options: Partial<LedgerOptions> = {}): Promise<Ledger> {
  return openLedger({ directory, signer, clock: systemClock, log: silentLog, signEveryMs: 5, ...options });
}

async function newDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-ledger-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Lines of some 3 KB. */
function longLines(firstNumber: number, count: number): string[] {
  return Array.from({ length: count }, (_, at) =>
    encodeRecord(
      sampleRecord(firstNumber + at, {
        user: 'u'.repeat(512),
        caller: 'c'.repeat(512),
        callee: 'd'.repeat(512),
        rule: 'r'.repeat(512),
        detail: 'e'.repeat(256),
      }),
    ),
  );
}

const BATCHES = 12;
const BATCH_RECORDS = 1_000;

/** Brings all batches, one after the other; gives how many are kept. */
function bring(ledger: Ledger): { kept: () => number; done: Promise<void> } {
  let kept = 0;
  const run = async () => {
    for (; kept < BATCHES; kept += 1) {
      const first = kept * BATCH_RECORDS + 1;
      await ledger.appendBatch(batch(first, longLines(first, BATCH_RECORDS)));
    }
  };
  return { kept: () => kept, done: run() };
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => void setTimeout(resolve, ms));
}

/** A ledger whose tree does not get on before the gate is opened. */
async function openHeld(t: TestContext): Promise<{ ledger: Ledger; memory: MemoryFiles; letGo: () => void }> {
  const memory = new MemoryFiles();
  const ledger = await open('/ledger', { files: memory, indexFile: ':memory:' });
  const gate = Promise.withResolvers<void>();
  memory.delay = name => (name === 'rename' ? gate.promise : Promise.resolve());
  const letGo = () => gate.resolve();
  t.after(() => {
    letGo();
    return ledger.close();
  });
  return { ledger, memory, letGo };
}

test('appendBatch() lets a point wait while the tree does not keep up, and holds little meanwhile', async t => {
  const { ledger, letGo, memory } = await openHeld(t);
  const { done, kept } = bring(ledger);
  await pause(1_000);
  const keptMeanwhile = kept();
  assert.ok(keptMeanwhile >= 2 && keptMeanwhile <= 5, `${keptMeanwhile} of ${BATCHES} batches`);
  letGo();
  await done;
  assert.equal(ledger.size, BATCHES * BATCH_RECORDS);
  await ledger.close();
  const report = await verifyLedger({ directory: '/ledger', key, files: memory });
  assert.deepEqual([report.kind, report.size], ['intact', BATCHES * BATCH_RECORDS]);
});

test('appendBatch() rejects when the tree cannot be written and enough waits for it, and goes on later', async () => {
  const files = new MemoryFiles();
  const ledger = await open('/ledger', { files, indexFile: ':memory:' });
  files.fate = ({ name }) => (name === 'rename' ? 'fails' : 'works');
  const failing = bring(ledger);
  await assert.rejects(failing.done, code('write-failed'));
  assert.ok(failing.kept() >= 2 && failing.kept() <= 5, `${failing.kept()} batches`);
  files.fate = () => 'works';
  await ledger.sign();
  await bring(ledger).done;
  await ledger.close();
  const report = await verifyLedger({ directory: '/ledger', key, files });
  assert.deepEqual([report.kind, report.size], ['intact', BATCHES * BATCH_RECORDS]);
});

test('a batch that waits when the ledger is closed is rejected', async t => {
  const { ledger, letGo } = await openHeld(t);
  const waiting = assert.rejects(bring(ledger).done, code('closed'));
  await pause(500);
  const closed = ledger.close();
  letGo();
  await Promise.all([closed, waiting]);
});

test('openLedger() keeps every file to its owner, also those that were there', async t => {
  const directory = await newDirectory(t);
  for (const name of ['lock', 'index.db']) await writeFile(join(directory, name), '', { mode: 0o644 });
  const ledger = await open(directory);
  await ledger.appendBatch(batch(1, sampleLines(1, 300)));
  await ledger.sign();
  await ledger.search({ limit: 1 });
  const seen: string[] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    assert.equal((await stat(path)).mode & 0o777, entry.isDirectory() ? 0o700 : 0o600, path);
    seen.push(entry.name);
  }
  for (const name of ['lock', 'index.db', 'index.db-wal', 'index.db-shm', 'checkpoint'])
    assert.ok(seen.includes(name), name);
  await ledger.close();
});

test('a damaged page of the index changes no answer', async t => {
  const home = await newDirectory(t);
  const good = join(home, 'good');
  const ledger = await open(good);
  await ledger.appendBatch(batch(1, sampleLines(1, 700)));
  await ledger.appendBatch(batch(1, sampleLines(1_001, 300), 'agent'));
  await ledger.search({ limit: 1 });
  await ledger.close();
  const pages = Math.floor((await stat(join(good, 'index.db'))).size / PAGE_BYTES);
  assert.ok(pages > 15, `${pages} pages`);
  let renewed = 0;
  for (let page = 0; page < pages; page += 1) {
    const directory = join(home, `damaged-${page}`);
    await cp(good, directory, { recursive: true });
    const file = await openFile(join(directory, 'index.db'), 'r+');
    await file.write(Buffer.alloc(PAGE_BYTES, 0xa5), 0, PAGE_BYTES, page * PAGE_BYTES);
    await file.close();
    const where = `page ${page}`;
    const warn = () => void (renewed += 1);
    const again = await open(directory, { log: { ...silentLog, warn } });
    const stored = await again.appendBatch(batch(690, sampleLines(690, 15)));
    assert.deepEqual(stored, { kind: 'stored', throughSeq: 704 }, where);
    await again.appendBatch(batch(299, sampleLines(1_299, 4), 'agent'));
    assert.equal(again.size, 1_006, where);
    for (const [id, index] of [
      [sampleRecord(3).requestId, 2],
      [sampleRecord(1_300).requestId, 999],
      [sampleRecord(704).requestId, 1_003],
      [`agent/${EPOCH}/302`, 1_005],
      [`gateway/${EPOCH}/350`, 349],
    ] as const) {
      const found = await foundInTheEnd(again, id);
      assert.deepEqual(found, [index], `${id}: ${where}`);
    }
    assert.equal((await again.search({ service: 'frontend', limit: 2_000 })).length, 1_006, where);
    await again.close();
    assert.equal((await verifyLedger({ directory, key })).kind, 'intact', where);
  }
  // Positive control: there were pages whose damage showed only in use.
  assert.ok(renewed > 0);
  t.diagnostic(`${pages} pages, ${renewed} found in use`);
});

/** An index that turns out to be damaged is made again, and knows all a moment later. */
async function foundInTheEnd(ledger: Ledger, id: string): Promise<number[]> {
  for (let tries = 0; ; tries += 1) {
    try {
      return (await ledger.find(id)).map(({ index }) => index);
    } catch (error) {
      if (!code('not-yet')(error) || tries > 100) throw error;
    }
  }
}

test('find() does not say that there is no record while the index is being made again', async t => {
  const directory = await newDirectory(t);
  const ledger = await open(directory);
  await ledger.appendBatch(batch(1, sampleLines(1, 3_000)));
  await ledger.close();
  await rm(join(directory, 'index.db'));
  let nowMs = 0;
  const impatient = { ...systemClock, nowMs: () => 0, monotonicMs: () => (nowMs += 10_000) };
  const again = await open(directory, { clock: impatient });
  for (const id of [sampleRecord(2_999).requestId, `gateway/${EPOCH}/2999`, 'no such id'])
    await assert.rejects(again.find(id), code('not-yet'), id);
  await assert.rejects(again.prove(sampleRecord(2_999).requestId), code('not-yet'));
  assert.equal((await again.find('2999')).length, 1);
  while (again.indexedSize < again.size) await pause(5);
  assert.deepEqual(
    (await again.find(sampleRecord(2_999).requestId)).map(({ index }) => index),
    [2_998],
  );
  assert.deepEqual(await again.find('no such id'), []);
  await again.close();
});
