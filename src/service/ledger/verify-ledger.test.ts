import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FakeClock, systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import {
  decodeBundle,
  encodeBundle,
  hashLeaf,
  MerkleError,
  noteKey,
  signCheckpoint,
  type Signer,
} from '#domain/merkle';
import { encodeGapEntry, encodeRecord, encodeRecordEntry } from '#domain/record';
import { nodeFiles } from './files.ts';
import { LedgerError } from './ledger-error.ts';
import { newSigner, sampleLines, sampleRecord } from './ledger-lab.ts';
import type { FindingReason, LedgerReport } from './ledger-report.ts';
import { openLedger } from './open-ledger.ts';
import { MemoryFiles } from './memory-files.ts';
import { TreeLog } from './tree-log.ts';
import { verifyLedger } from './verify-ledger.ts';

const signer = newSigner();
const key = noteKey(signer.keyName, signer.publicKey);
const EPOCH = 'aaaaaaaaaaaaaaaa';
const SIZES = [100, 300, 520, 700];
const SIZE = 700;
const BUNDLES = ['tile/entries/000', 'tile/entries/001', 'tile/entries/002.p/188'];

describe('verifyLedger()', () => {
  let home: string;
  let good: string;
  /** The checkpoints at `SIZES`. */
  const checkpoints: string[] = [];

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'ringwall-verify-'));
    good = join(home, 'good');
    const clock = new FakeClock();
    const ledger = await openLedger({ directory: good, signer, clock, log: silentLog, signEveryMs: 100_000 });
    let size = 0;
    for (const next of SIZES) {
      const lines = sampleLines(size + 1, next - size);
      await ledger.appendBatch({ point: 'gateway', epoch: EPOCH, firstSeq: size + 1, lines });
      await ledger.sign();
      checkpoints.push(ledger.checkpoint);
      clock.advance(60_000);
      size = next;
      if (size === 300) await cp(good, join(home, 'earlier'), { recursive: true });
    }
    await ledger.close();
  });
  after(() => rm(home, { recursive: true, force: true }));

  let copies = 0;
  async function copyOf(name: string, without: readonly string[] = []): Promise<string> {
    const directory = join(home, `copy-${(copies += 1)}`);
    await cp(join(home, name), directory, { recursive: true });
    for (const file of without)
      for (const suffix of ['', '-wal', '-shm']) {
        await rm(join(directory, file + suffix), { force: true, recursive: true });
      }
    return directory;
  }

  const verify = (directory: string, earlier: string[] = []) => verifyLedger({ directory, key, earlier });

  /** The first finding must be this one, with the search index and without it. */
  async function expectFinding(
    damage: (directory: string) => Promise<void>,
    expected: {
      reason: FindingReason;
      index: number;
      lastIndex?: number;
      withoutIndex?: { index: number; lastIndex: number };
    },
  ): Promise<void> {
    const { withoutIndex, ...exact } = expected;
    for (const [without, wanted] of [
      [[], exact],
      [['index.db'], { ...exact, ...withoutIndex }],
    ] as const) {
      const directory = await copyOf('good', without);
      await damage(directory);
      const report = await verify(directory);
      const what = JSON.stringify(report.findings);
      assert.equal(report.kind, 'damaged', what);
      const [first] = report.findings;
      const { reason, index, lastIndex } = first ?? {};
      assert.deepEqual({ reason, index, ...(lastIndex !== undefined && { lastIndex }) }, wanted, what);
      if (without.length === 0) assert.equal(first?.record, `gateway/${EPOCH}/${wanted.index + 1}`);
    }
  }

  test('finds nothing wrong with a good ledger, from files and public key alone', async () => {
    const report = await verify(await copyOf('good', ['index.db', 'pending', 'lock']), checkpoints);
    assert.deepEqual([report.kind, report.size, report.findings, report.pending], ['intact', SIZE, [], 0]);
    assert.ok(report.checkpoints >= 2 * SIZES.length, `${report.checkpoints} checkpoints`);
  });

  test('names the record of any flipped byte', async t => {
    for (const [bundle, path] of BUNDLES.entries()) {
      const bytes = await readFile(join(good, path));
      const { entries } = decodeBundle(bytes, 256);
      const offsets = Array.from({ length: 12 }, (_, at) => Math.floor(((at + 0.5) * bytes.byteLength) / 12));
      // Lengths too: the first and second byte of a record's length.
      const lengths = [entries.slice(0, 9), entries.slice(0, 100)].map(part => encodeBundle(part).byteLength);
      for (const offset of [...offsets, 0, 1, ...lengths.flatMap(at => [at, at + 1]), bytes.byteLength - 1]) {
        const directory = await copyOf('good', offset % 2 === 0 ? ['index.db'] : []);
        const changed = Buffer.from(bytes);
        changed[offset] = (changed[offset] ?? 0) ^ (1 << (offset % 8));
        await writeFile(join(directory, path), changed);
        const report = await verify(directory);
        const expected = bundle * 256 + entryAt(entries, offset);
        assert.equal(
          report.findings[0]?.index,
          expected,
          `${path} at ${offset}: ${JSON.stringify(report.findings)}`,
        );
        assert.ok(['entry-changed', 'entry-missing'].includes(report.findings[0].reason));
      }
    }
    t.diagnostic('57 bytes');
  });

  test('names a deleted record', async () => {
    await expectFinding(directory => changeBundle(directory, 1, entries => entries.toSpliced(50, 1)), {
      reason: 'entry-changed',
      index: 306,
    });
  });

  test('names the first of two records that changed places', async () => {
    await expectFinding(
      directory =>
        changeBundle(directory, 2, entries =>
          entries.toSpliced(7, 2, entries[8] as Buffer, entries[7] as Buffer),
        ),
      {
        reason: 'entry-changed',
        index: 519,
      },
    );
  });

  test('names the first record that is cut off', async () => {
    await expectFinding(directory => changeBundle(directory, 2, entries => entries.slice(0, 100)), {
      reason: 'entry-missing',
      index: 612,
    });
    await expectFinding(directory => truncate(join(directory, BUNDLES[1] ?? ''), 1_000), {
      reason: 'entry-missing',
      index: 257,
    });
  });

  test('names the first record of a bundle that is gone', async () => {
    await expectFinding(directory => rm(join(directory, BUNDLES[0] ?? '')), {
      reason: 'entry-missing',
      index: 0,
    });
    await expectFinding(directory => rm(join(directory, BUNDLES[2] ?? '')), {
      reason: 'entry-missing',
      index: 512,
    });
  });

  test('names bytes that were added', async () => {
    await expectFinding(
      async directory =>
        writeFile(
          join(directory, BUNDLES[0] ?? ''),
          Buffer.concat([await readFile(join(good, BUNDLES[0] ?? '')), Buffer.of(1)]),
        ),
      { reason: 'extra-bytes', index: 255 },
    );
  });

  test('tells a changed tile from changed records', async () => {
    for (const [path, offset, index] of [
      ['tile/0/001', 32 * 9 + 5, 265],
      ['tile/0/002.p/188', 0, 512],
      ['tile/1/000.p/2', 40, 256],
    ] as const) {
      const damage = async (directory: string) => {
        const bytes = await readFile(join(directory, path));
        bytes[offset] = (bytes[offset] ?? 0) ^ 1;
        await writeFile(join(directory, path), bytes);
      };
      await expectFinding(damage, { reason: 'tile-changed', index });
    }
    await expectFinding(directory => rm(join(directory, 'tile/0/001')), {
      reason: 'tile-changed',
      index: 256,
    });
  });

  test('names the first rewritten record when the tree was made again without the key', async () => {
    await expectFinding(directory => rewrite(directory, entries => entries.with(340, forged(341))), {
      reason: 'entry-changed',
      index: 340,
      withoutIndex: { index: 300, lastIndex: 519 },
    });
    await expectFinding(directory => rewrite(directory, entries => entries.with(600, forged(601))), {
      reason: 'entry-changed',
      index: 600,
      withoutIndex: { index: 520, lastIndex: 699 },
    });
  });

  test('names a record that was left out of a tree made again without the key, also without index and history', async () => {
    const directory = await copyOf('good', ['index.db', 'checkpoints.ndjson']);
    await rewrite(directory, entries => [...entries.toSpliced(340, 1), forged(701)]);
    const report = await verify(directory);
    assert.deepEqual(
      report.findings.map(({ reason, index }) => [reason, index])[0],
      ['sequence-broken', 340],
      JSON.stringify(report.findings),
    );
  });

  test('finds a ledger rewritten with a stolen key, by earlier checkpoints', async () => {
    const damage = (directory: string) =>
      rewrite(directory, entries => entries.with(340, forged(341)), signer);
    await expectFinding(damage, {
      reason: 'history-rewritten',
      index: 340,
      withoutIndex: { index: 300, lastIndex: 519 },
    });
    const directory = await copyOf('good', ['index.db', 'checkpoints.ndjson']);
    await damage(directory);
    // Positive control: who holds the key and every file leaves no trace in them.
    assert.equal((await verify(directory)).kind, 'intact');
    const report = await verify(directory, [checkpoints[2] ?? '']);
    assert.deepEqual(
      report.findings.map(({ reason, index, lastIndex }) => [reason, index, lastIndex]),
      [['history-rewritten', 0, 519]],
    );
    assert.equal((await verify(directory, [checkpoints[1] ?? ''])).kind, 'intact');
  });

  test('finds a ledger that was put back to an earlier state', async () => {
    const directory = await copyOf('earlier', ['index.db']);
    assert.equal((await verify(directory)).kind, 'intact');
    const expected = [['rolled-back', 300, 699]];
    const found = ({ findings }: LedgerReport) =>
      findings.map(({ reason, index, lastIndex }) => [reason, index, lastIndex]);
    assert.deepEqual(found(await verify(directory, [checkpoints[3] ?? ''])), expected);
    await cp(join(good, 'checkpoints.ndjson'), join(directory, 'checkpoints.ndjson'));
    assert.deepEqual(found(await verify(directory)), expected);
    const indexed = await copyOf('earlier', ['index.db']);
    await cp(join(good, 'index.db'), join(indexed, 'index.db'));
    assert.deepEqual(found(await verify(indexed)), expected);
  });

  test('rejects a checkpoint that is missing, changed or of another key', async () => {
    const root = hashLeaf(Buffer.from('x'));
    const cases: [FindingReason, (path: string) => Promise<void>][] = [
      ['checkpoint-missing', path => rm(path)],
      [
        'checkpoint-invalid',
        async path => writeFile(path, (await readFile(path)).toString().replace('\n700\n', '\n699\n')),
      ],
      [
        'checkpoint-invalid',
        path => writeFile(path, signCheckpoint({ origin: signer.keyName, size: 700, root }, newSigner())),
      ],
      [
        'checkpoint-invalid',
        path => writeFile(path, signCheckpoint({ origin: 'another', size: 700, root }, signer)),
      ],
      ['checkpoint-invalid', path => writeFile(path, '')],
    ];
    for (const [reason, damage] of cases) {
      const directory = await copyOf('good');
      await damage(join(directory, 'checkpoint'));
      assert.equal((await verify(directory)).findings[0]?.reason, reason);
    }
    const forgedRoot = await copyOf('good');
    await writeFile(
      join(forgedRoot, 'checkpoint'),
      signCheckpoint({ origin: signer.keyName, size: 700, root }, signer),
    );
    assert.equal((await verify(forgedRoot)).kind, 'damaged');
  });

  test('is not misled by a search index that was changed', async () => {
    const directory = await copyOf('good');
    await writeFile(join(directory, 'index.db'), 'rubbish');
    assert.equal((await verify(directory)).kind, 'intact');
  });

  test('throws when there is no ledger, or an earlier checkpoint is not of its key', async () => {
    await assert.rejects(
      verify(join(home, 'nowhere')),
      (error: unknown) => error instanceof LedgerError && error.code === 'not-found',
    );
    const foreign = signCheckpoint(
      { origin: signer.keyName, size: 1, root: hashLeaf(Buffer.from('x')) },
      newSigner(),
    );
    await assert.rejects(verify(good, [foreign]), MerkleError);
  });

  test('checks confirmed records that no checkpoint covers yet', async () => {
    const files = new MemoryFiles();
    const options = {
      directory: '/ledger',
      signer,
      clock: systemClock,
      log: silentLog,
      files,
      indexFile: ':memory:',
      signEveryMs: 100_000,
    };
    const ledger = await openLedger(options);
    await ledger.appendBatch({ point: 'gateway', epoch: EPOCH, firstSeq: 1, lines: sampleLines(1, 5) });
    const report = () => verifyLedger({ directory: '/ledger', key, files });
    assert.deepEqual([(await report()).kind, (await report()).pending], ['intact', 5]);
    const path = files.paths().find(name => name.endsWith('.ndjson')) ?? '';
    files.replace(path, Buffer.from((files.content(path) ?? '').toString().replace('/item/3', '/item/8')));
    assert.deepEqual(
      (await report()).findings.map(({ reason, index }) => [reason, index]),
      [['pending-damaged', 2]],
    );
    const copy = files.copy();
    copy.restart('kill');
    const again = await openLedger({ ...options, files: copy });
    const entries = await again.tail({ after: -1, limit: 10 });
    assert.deepEqual(
      entries.map(({ entry }) => entry?.kind),
      ['record', 'record', 'gap', 'record', 'record'],
    );
    await again.close();
    assert.equal((await verifyLedger({ directory: '/ledger', key, files: copy })).kind, 'gaps');
    await ledger.close();
  });

  test('reports gaps of an otherwise good ledger', async () => {
    const files = new MemoryFiles();
    const ledger = await openLedger({
      directory: '/ledger',
      signer,
      clock: systemClock,
      log: silentLog,
      files,
      indexFile: ':memory:',
    });
    await ledger.appendBatch({
      point: 'agent',
      epoch: EPOCH,
      firstSeq: 4,
      lines: ['', ...sampleLines(1, 3), ''],
    });
    await ledger.appendBatch({ point: 'agent', epoch: 'bb', firstSeq: 2, lines: sampleLines(4, 1) });
    await ledger.close();
    const report = await verifyLedger({ directory: '/ledger', key, files });
    assert.equal(report.kind, 'gaps');
    assert.equal(report.gapCount, 4);
    assert.deepEqual(
      report.gaps.map(({ index, gap }) => [index, gap.cause, gap.fromSeq, gap.toSeq]),
      [
        [0, 'lost', 1, 3],
        [1, 'lost', 4, 4],
        [5, 'lost', 8, 8],
        [6, 'journal-replaced', 9, null],
      ],
    );
  });

  test('finds what control signed and should not have', async () => {
    const gap = { point: 'gateway', epoch: EPOCH, fromSeq: 3, toSeq: 4, cause: 'lost', timeMs: 1 } as const;
    const record = (seq: number) =>
      Buffer.from(
        encodeRecordEntry({ point: 'gateway', epoch: EPOCH, seq }, encodeRecord(sampleRecord(seq))),
      );
    const cases: [Buffer[], [FindingReason, number][]][] = [
      [[record(1), record(2), Buffer.from(encodeGapEntry(gap)), record(5)], []],
      [[record(1), record(3)], [['sequence-broken', 1]]],
      [[record(1), record(1)], [['sequence-broken', 1]]],
      [[record(2)], [['sequence-broken', 0]]],
      [[record(1), Buffer.from('{}')], [['entry-malformed', 1]]],
    ];
    for (const [at, [entries, expected]] of cases.entries()) {
      const directory = join(home, `signed-${at}`);
      await build(directory, entries, signer);
      const { findings } = await verify(directory);
      assert.deepEqual(
        findings.map(({ reason, index }) => [reason, index]),
        expected,
      );
    }
  });

  test('may run while control writes', async () => {
    const directory = join(home, 'busy');
    const ledger = await openLedger({
      directory,
      signer,
      clock: systemClock,
      log: silentLog,
      signEveryMs: 3,
    });
    const writing = new AbortController();
    const writer = (async () => {
      for (let seq = 1; !writing.signal.aborted; seq += 40) {
        await ledger.appendBatch({
          point: 'gateway',
          epoch: EPOCH,
          firstSeq: seq,
          lines: sampleLines(seq, 40),
        });
      }
    })();
    try {
      for (let round = 0; round < 10; round += 1) {
        const { kind, findings } = await verify(directory);
        assert.equal(kind, 'intact', JSON.stringify(findings));
      }
    } finally {
      writing.abort();
      await writer;
      await ledger.close();
    }
  });
});

function entryAt(entries: readonly Buffer[], offset: number): number {
  let end = 0;
  return entries.findIndex(entry => (end += 2 + entry.byteLength) > offset);
}

function forged(number: number): Buffer {
  const record = encodeRecord(sampleRecord(number, { user: 'somebody else' }));
  return Buffer.from(encodeRecordEntry({ point: 'gateway', epoch: EPOCH, seq: number }, record));
}

async function changeBundle(
  directory: string,
  bundle: number,
  change: (entries: Buffer[]) => Buffer[],
): Promise<void> {
  const path = join(directory, BUNDLES[bundle] ?? '');
  await writeFile(path, encodeBundle(change(decodeBundle(await readFile(path), 256).entries)));
}

/** What an attacker with all files does: other entries, and a tree that fits them. With the key, also a checkpoint. */
async function rewrite(
  directory: string,
  change: (entries: Buffer[]) => Buffer[],
  thief?: Signer,
): Promise<void> {
  const bundles = await Promise.all(BUNDLES.map(path => readFile(join(directory, path))));
  const made = `${directory}-made`;
  await build(made, change(bundles.flatMap(bytes => decodeBundle(bytes, 256).entries)), thief ?? newSigner());
  await cp(join(made, 'tile'), join(directory, 'tile'), { recursive: true });
  if (thief !== undefined) await cp(join(made, 'checkpoint'), join(directory, 'checkpoint'));
}

async function build(directory: string, entries: readonly Buffer[], by: Signer): Promise<void> {
  const tree = await TreeLog.open({ directory, signer: by, files: nodeFiles, log: silentLog });
  await tree.grow(
    entries.map(bytes => ({ bytes, hash: hashLeaf(bytes) })),
    0,
  );
  for (const name of await readdir(directory))
    if (name === 'checkpoints.ndjson') await rm(join(directory, name));
}
