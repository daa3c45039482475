import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { SchemaError } from '#base/schema';
import { hashLeaf, noteKey, openCheckpoint, parseProof, verifyProof } from '#domain/merkle';
import { encodeRecord, encodeRecordEntry } from '#domain/record';
import type { Files } from './files.ts';
import { LeafHints } from './leaf-hints.ts';
import { LedgerKeeper } from './ledger-keeper.ts';
import { LedgerError } from './ledger-error.ts';
import { newSigner, sampleLines, sampleRecord } from './ledger-lab.ts';
import type { FoundEntry, Ledger, LedgerOptions } from './ledger.ts';
import { openLedger } from './open-ledger.ts';
import { MemoryFiles, type Fate, type FileOperation } from './memory-files.ts';
import { verifyLedger } from './verify-ledger.ts';

const signer = newSigner();
const key = noteKey(signer.keyName, signer.publicKey);
const EPOCH = 'aaaaaaaaaaaaaaaa';
const NEXT_EPOCH = 'bbbbbbbbbbbbbbbb';

const code = (expected: string) => (error: unknown) =>
  error instanceof LedgerError && error.code === expected;
const batch = (firstSeq: number, lines: string[], epoch = EPOCH, point = 'gateway') => ({
  point,
  epoch,
  firstSeq,
  lines,
});

function open(directory: string, options: Partial<LedgerOptions> = {}): Promise<Ledger> {
  return openLedger({ directory, signer, clock: systemClock, log: silentLog, signEveryMs: 5, ...options });
}

function openInMemory(files: Files, options: Partial<LedgerOptions> = {}): Promise<Ledger> {
  return open('/ledger', { files, indexFile: ':memory:', signEveryMs: 100_000, ...options });
}

async function newDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-ledger-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** What is in the ledger: numbers of records, gaps as text. */
async function contents(ledger: Ledger): Promise<(number | string)[]> {
  return (await ledger.tail({ after: -1, limit: 1e6 })).map(numberOf);
}

function numberOf({ entry }: FoundEntry): number | string {
  if (entry === null) return 'damaged';
  if (entry.kind === 'record') return (entry.record.timeMs - 1_790_000_000_000) / 10;
  return `${entry.gap.cause} ${entry.gap.fromSeq}-${entry.gap.toSeq ?? '?'}`;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

test('appendBatch() keeps records, signs them within a second and survives a restart', async t => {
  const directory = await newDirectory(t);
  const ledger = await open(directory, { signEveryMs: 300 });
  assert.deepEqual(await ledger.appendBatch(batch(1, sampleLines(1, 300))), {
    kind: 'stored',
    throughSeq: 300,
  });
  assert.equal(ledger.size, 300);
  const stored = performance.now();
  while (openCheckpoint(ledger.checkpoint, key).size < 300)
    await new Promise(resolve => void setTimeout(resolve, 10));
  assert.ok(performance.now() - stored < 1_000);
  await ledger.close();
  const again = await open(directory);
  assert.deepEqual(await contents(again), range(1, 300));
  await again.appendBatch(batch(301, sampleLines(301, 5)));
  assert.deepEqual(await contents(again), range(1, 305));
  await again.close();
  assert.equal((await verifyLedger({ directory, key })).kind, 'intact');
  assert.equal((await stat(directory)).mode & 0o777, 0o700);
});

test('appendBatch() takes a record once, however often it comes', async () => {
  const ledger = await openInMemory(new MemoryFiles());
  await ledger.appendBatch(batch(1, sampleLines(1, 10)));
  assert.deepEqual(await ledger.appendBatch(batch(1, sampleLines(1, 10))), {
    kind: 'stored',
    throughSeq: 10,
  });
  assert.deepEqual(await ledger.appendBatch(batch(4, sampleLines(4, 12))), {
    kind: 'stored',
    throughSeq: 15,
  });
  assert.deepEqual(await contents(ledger), range(1, 15));
  await ledger.close();
});

test('appendBatch() tells a point that skips where to go on, and writes a gap when it has nothing earlier', async () => {
  const ledger = await openInMemory(new MemoryFiles());
  await ledger.appendBatch(batch(1, sampleLines(1, 3)));
  const late = batch(6, sampleLines(6, 2));
  assert.deepEqual(await ledger.appendBatch(late), { kind: 'out-of-sequence', expectedSeq: 4 });
  assert.deepEqual(await ledger.appendBatch(batch(8, sampleLines(8, 1))), {
    kind: 'out-of-sequence',
    expectedSeq: 4,
  });
  assert.deepEqual(await contents(ledger), [1, 2, 3]);
  await ledger.appendBatch(late);
  assert.deepEqual(await ledger.appendBatch(late), { kind: 'stored', throughSeq: 7 });
  assert.deepEqual(await contents(ledger), [1, 2, 3, 'lost 4-5', 6, 7]);
  await ledger.close();
});

test('appendBatch() writes one gap for each run of lost or malformed records', async () => {
  const ledger = await openInMemory(new MemoryFiles());
  const [one = '', two = '', three = ''] = sampleLines(1, 3);
  const forged = encodeRecord(sampleRecord(9)).replace('"v":1', '"v":1,"x":1');
  await ledger.appendBatch(batch(1, ['', '', one, forged, '{}', '', two, three, '']));
  assert.deepEqual(await contents(ledger), ['lost 1-2', 1, 'malformed 4-5', 'lost 6-6', 2, 3, 'lost 9-9']);
  await ledger.appendBatch(batch(9, ['', sampleLines(10, 1)[0] ?? '']));
  assert.deepEqual((await contents(ledger)).slice(-2), ['lost 9-9', 10]);
  await ledger.close();
});

test('appendBatch() follows a point through its restarts, and notes a journal that was put back or emptied', async () => {
  const ledger = await openInMemory(new MemoryFiles());
  await ledger.appendBatch(batch(1, sampleLines(1, 5)));
  await ledger.appendBatch(batch(6, sampleLines(6, 2), NEXT_EPOCH));
  assert.deepEqual(await contents(ledger), range(1, 7));
  await ledger.appendBatch(batch(1, sampleLines(100, 1), 'cc'));
  await ledger.appendBatch(batch(5, sampleLines(101, 1), 'dd'));
  await ledger.appendBatch(batch(3, sampleLines(200, 1), 'ee', 'agent'));
  assert.deepEqual((await contents(ledger)).slice(7), [
    'journal-replaced 8-?',
    100,
    'lost 2-4',
    101,
    'lost 1-2',
    200,
  ]);
  await ledger.close();
});

test('appendBatch() rejects what is no batch', async () => {
  const ledger = await openInMemory(new MemoryFiles());
  for (const bad of [
    batch(0, []),
    batch(1.5, []),
    batch(2 ** 53, ['']),
    batch(1, [], 'not hex'),
    batch(1, [], EPOCH, 'a/b'),
    batch(1, [], EPOCH, ''),
    batch(
      1,
      Array.from({ length: 20_001 }, () => ''),
    ),
  ]) {
    await assert.rejects(ledger.appendBatch(bad), code('bad-batch'));
  }
  assert.equal(ledger.size, 0);
  await ledger.close();
  await assert.rejects(ledger.appendBatch(batch(1, [])), code('closed'));
});

test('openLedger() rejects a second writer, another key and damaged files', async t => {
  const directory = await newDirectory(t);
  const ledger = await open(directory);
  await assert.rejects(open(directory), code('in-use'));
  await ledger.appendBatch(batch(1, sampleLines(1, 3)));
  await ledger.close();
  await assert.rejects(open(directory, { signer: newSigner() }), code('damaged'));
  await (await open(directory)).close();
  await rm(join(directory, 'checkpoint'));
  await assert.rejects(open(directory), code('damaged'));
});

test('search() finds by identity, service, decision, time and request id', async t => {
  const ledger = await open(await newDirectory(t));
  const spiffe = (name: string) => `spiffe://boutique.internal/ns/default/sa/${name}`;
  const records = [
    sampleRecord(1),
    sampleRecord(2, {
      decision: 'refused',
      reason: 'no-such-call',
      caller: spiffe('frontend'),
      callee: spiffe('payment'),
    }),
    sampleRecord(3, {
      user: 'https://id.boutique.test|bob',
      client: { kind: 'user', id: 'https://id.boutique.test|bob', address: '::1' },
    }),
    sampleRecord(4, {
      direction: 'inbound',
      requestId: sampleRecord(1).requestId,
      caller: spiffe('gateway'),
    }),
  ];
  await ledger.appendBatch(batch(1, ['', ...records.map(encodeRecord)]));
  const find = async (query: object) =>
    (await ledger.search({ limit: 10, ...query })).map(({ index }) => index);
  assert.deepEqual(await find({}), [4, 3, 2, 1, 0]);
  assert.deepEqual(await find({ limit: 2 }), [4, 3]);
  assert.deepEqual(await find({ identity: 'alice' }), [4, 2, 1]);
  assert.deepEqual(await find({ identity: 'https://id.boutique.test|bob' }), [3]);
  assert.deepEqual(await find({ identity: spiffe('frontend') }), [4, 3, 2, 1]);
  assert.deepEqual(await find({ identity: 'nobody' }), []);
  assert.deepEqual(await find({ identity: "' OR 1=1 --" }), []);
  assert.deepEqual(await find({ service: 'payment' }), [2]);
  assert.deepEqual(await find({ service: 'frontend', decision: 'refused' }), [2]);
  assert.deepEqual(await find({ service: 'alice' }), []);
  assert.deepEqual(await find({ decision: 'gap' }), [0]);
  assert.deepEqual(
    await find({ sinceMs: sampleRecord(3).timeMs, untilMs: sampleRecord(4).timeMs }),
    [4, 3, 0].slice(0, 2),
  );
  assert.deepEqual(await find({ requestId: sampleRecord(1).requestId }), [4, 1]);
  assert.deepEqual(await find({ requestId: sampleRecord(9).requestId }), []);
  await ledger.close();
});

test('prove() gives a proof that verifies with the public key alone', async t => {
  const ledger = await open(await newDirectory(t), { signEveryMs: 100_000 });
  await ledger.appendBatch(batch(1, sampleLines(1, 600)));
  for (const [id, index] of [
    ['7', 7],
    [`gateway/${EPOCH}/257`, 256],
    [sampleRecord(600).requestId, 599],
  ] as const) {
    const proven = await ledger.prove(id);
    const proof = parseProof(proven.proof);
    assert.equal(proven.index, index);
    assert.ok(proof.extra);
    assert.equal(verifyProof(proof, hashLeaf(proof.extra), key).size, 600);
    assert.throws(() =>
      verifyProof(proof, hashLeaf(proof.extra ?? Buffer.alloc(0)), noteKey('other', signer.publicKey)),
    );
  }
  for (const id of [
    '600',
    `gateway/${EPOCH}/601`,
    `agent/${EPOCH}/1`,
    'no such id',
    sampleRecord(601).requestId,
  ]) {
    await assert.rejects(ledger.prove(id), code('not-found'), id);
  }
  await ledger.close();
});

test('the search index is made again when it is gone, broken or behind', async t => {
  const directory = await newDirectory(t);
  const ledger = await open(directory);
  await ledger.appendBatch(batch(1, sampleLines(1, 1_500)));
  await ledger.close();
  await rm(join(directory, 'index.db'));
  const rebuilt = await open(directory);
  assert.equal((await rebuilt.find(`gateway/${EPOCH}/1400`))[0]?.index, 1_399);
  assert.deepEqual(await rebuilt.appendBatch(batch(1_499, sampleLines(1_499, 3))), {
    kind: 'stored',
    throughSeq: 1_501,
  });
  assert.equal(rebuilt.size, 1_501);
  await rebuilt.close();
  await writeFile(join(directory, 'index.db'), 'not a database, not a database, not a database');
  const again = await open(directory);
  assert.equal((await again.search({ requestId: sampleRecord(3).requestId, limit: 1 })).length, 1);
  await again.close();
});

test('what is read and indexed stays right while entries go into the tree', async t => {
  const directory = await newDirectory(t);
  const ledger = await open(directory, { signEveryMs: 1 });
  const last = 1_000;
  const writing = (async () => {
    for (let seq = 1; seq < last; seq += 20) await ledger.appendBatch(batch(seq, sampleLines(seq, 20)));
  })();
  let reads = 0;
  for (; ledger.size < last; reads += 1) {
    for (const found of await ledger.tail({ limit: 50 })) assert.equal(numberOf(found), found.index + 1);
    await new Promise(resolve => void setImmediate(resolve));
  }
  await writing;
  for (const seq of [1, 257, 500, last]) {
    assert.deepEqual((await ledger.find(`gateway/${EPOCH}/${seq}`)).map(numberOf), [seq]);
    assert.deepEqual((await ledger.find(sampleRecord(seq).requestId)).map(numberOf), [seq]);
  }
  await ledger.close();
  const hints = LeafHints.open(join(directory, 'index.db'));
  const again = await open(directory);
  const leaves = (await contents(again)).map(number =>
    hashLeaf(
      Buffer.from(
        encodeRecordEntry(
          { point: 'gateway', epoch: EPOCH, seq: Number(number) },
          sampleLines(Number(number), 1)[0] ?? '',
        ),
      ),
    ),
  );
  await again.close();
  assert.equal(hints?.size, last);
  assert.equal(hints.firstDifference(0, leaves), undefined);
  hints.close();
  assert.ok(reads > 5, `${reads} reads`);
});

test('openLedger() notes for ever that entries have vanished which the index remembers', async t => {
  const directory = await newDirectory(t);
  const files = new MemoryFiles();
  const indexFile = join(directory, 'index.db');
  const ledger = await openInMemory(files, { indexFile });
  await ledger.appendBatch(batch(1, sampleLines(1, 10)));
  await ledger.sign();
  const old = files.copy();
  await ledger.appendBatch(batch(11, sampleLines(11, 5)));
  await ledger.search({ limit: 1 });
  await ledger.close();
  old.restart('power-cut');
  for (const path of old.paths()) if (path.includes('pending')) await old.remove(path);
  const again = await openInMemory(old, { indexFile });
  assert.deepEqual(await contents(again), [...range(1, 10), 'ledger-damaged 11-15']);
  assert.deepEqual(await again.appendBatch(batch(16, sampleLines(16, 1))), {
    kind: 'stored',
    throughSeq: 16,
  });
  await again.sign();
  assert.equal((await verifyLedger({ directory: '/ledger', key, files: old })).kind, 'gaps');
  await again.close();
});

test('appendBatch() rejects while the disk is full, and goes on when there is space', async () => {
  const files = new MemoryFiles();
  const ledger = await openInMemory(files);
  await ledger.appendBatch(batch(1, sampleLines(1, 2)));
  files.fate = ({ name }) => (name === 'write' ? 'fails' : 'works');
  await assert.rejects(ledger.appendBatch(batch(3, sampleLines(3, 2))), code('write-failed'));
  assert.equal(ledger.healthy, false);
  await assert.rejects(ledger.appendBatch(batch(3, sampleLines(3, 2))), code('write-failed'));
  await assert.rejects(ledger.sign(), code('write-failed'));
  files.fate = () => 'works';
  await retry(() => ledger.appendBatch(batch(3, sampleLines(3, 2))));
  await ledger.sign();
  assert.equal(ledger.healthy, true);
  assert.deepEqual(await contents(ledger), [1, 2, 3, 4]);
  await ledger.close();
});

test('LedgerKeeper answers as control asks', async t => {
  const ledger = await open(await newDirectory(t));
  const keeper = new LedgerKeeper(ledger);
  assert.equal(await keeper.appendBatch(batch(1, sampleLines(1, 5))), 5);
  await assert.rejects(keeper.appendBatch(batch(9, sampleLines(9, 1))), code('out-of-sequence'));
  const found = await keeper.search({ service: 'frontend', limit: '2', since: '0' });
  assert.deepEqual(
    found.records.map(({ index }) => index),
    [4, 3],
  );
  assert.deepEqual(
    (await keeper.search({ after: '2' })).records.map(({ index }) => index),
    [3, 4],
  );
  assert.deepEqual(
    (await keeper.search({ after: 'newest', limit: '1' })).records.map(({ index }) => index),
    [4],
  );
  for (const bad of [
    { limit: '-1' },
    { nonsense: 'x' },
    { decision: 'maybe' },
    { since: '1e3' },
    { after: '1', service: 'x' },
  ]) {
    await assert.rejects(keeper.search(bad), SchemaError);
  }
  const [view] = (await keeper.find('2'))?.records ?? [];
  assert.equal(view?.kind === 'record' && view.id, `gateway/${EPOCH}/3`);
  assert.equal(await keeper.find('99'), undefined);
  assert.equal(await keeper.prove('99'), undefined);
  assert.match((await keeper.prove('2'))?.proof ?? '', /^c2sp\.org\/tlog-proof@v1\n/);
  assert.equal(openCheckpoint(await keeper.checkpoint(), key).size, 5);
  await ledger.close();
});

test('no confirmed record is lost or doubled and no checkpoint broken, whatever happens to any one operation', async t => {
  const runs = await strike(2, name =>
    name === 'write'
      ? ['fails', 'fails-but-persists', 'short', 'crash']
      : ['fails', 'fails-but-persists', 'crash'],
  );
  t.diagnostic(`${runs} faults`);
  assert.ok(runs > 120, `${runs} faults`);
});

test('no confirmed record is lost or doubled by a crash at any operation over the edge of a bundle', async t => {
  const runs = await strike(252, () => ['crash']);
  t.diagnostic(`${runs} faults`);
  assert.ok(runs > 50, `${runs} faults`);
});

/** Does the same work again and again, with another fault each time; the work begins with `start` signed entries. */
async function strike(start: number, fatesOf: (operation: string) => Fate[]): Promise<number> {
  const begun = new MemoryFiles();
  const ledger = await openInMemory(begun);
  await ledger.appendBatch(batch(1, sampleLines(1, start)));
  await ledger.close();
  const told = { through: start, checkpoints: [ledger.checkpoint] };

  const operations: FileOperation[] = [];
  const dry = begun.copy();
  dry.fate = operation => (operations.push(operation), 'works');
  await workload(dry, structuredClone(told));
  let runs = 0;
  for (const { count: at, name } of operations) {
    for (const fate of fatesOf(name)) {
      const files = begun.copy();
      files.fate = ({ count }) => (count === at ? fate : 'works');
      const seen = structuredClone(told);
      await workload(files, seen);
      const where = `${fate} at operation ${at}, ${name}`;
      if (fate === 'crash') {
        const killed = files.copy();
        killed.restart('kill');
        await check(killed, seen, `${where}, kill`);
        files.restart('power-cut');
      }
      await check(files, seen, where);
      runs += 1;
    }
  }
  return runs;
}

/** What the world outside has been told. */
type Seen = { through: number; checkpoints: string[] };

/** Two batches, each in its own life, with a checkpoint after each; as far as it gets. */
async function workload(files: MemoryFiles, seen: Seen): Promise<void> {
  for (const more of [3, 2]) {
    const ledger = await openInMemory(files).catch(() => undefined);
    if (ledger === undefined) continue;
    try {
      const outcome = await ledger.appendBatch(batch(seen.through + 1, sampleLines(seen.through + 1, more)));
      if (outcome.kind === 'stored') seen.through = outcome.throughSeq;
      await ledger.sign();
    } catch {
      // The fault; a point would come again.
    }
    if (!files.crashed) seen.checkpoints.push(ledger.checkpoint);
    await ledger.close().catch(() => {});
  }
}

/** Whatever was confirmed is there, the rest can be brought again, and every checkpoint that was seen still holds. */
async function check(files: MemoryFiles, seen: Seen, where: string): Promise<void> {
  const ledger = await openInMemory(files);
  assert.ok(ledger.size >= seen.through, `${ledger.size} of ${seen.through}: ${where}`);
  await ledger.appendBatch(batch(seen.through + 1, sampleLines(seen.through + 1, 6)));
  await ledger.sign();
  const total = seen.through + 6;
  assert.deepEqual(
    (await ledger.tail({ limit: 12 })).map(numberOf),
    range(Math.max(1, total - 11), total),
    where,
  );
  await ledger.close();
  const report = await verifyLedger({ directory: '/ledger', key, earlier: seen.checkpoints, files });
  assert.deepEqual([report.kind, report.size, report.findings], ['intact', total, []], where);
}

async function retry<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise(resolve => void setTimeout(resolve, 10));
    }
  }
}
