import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { noteKey } from '#domain/merkle';
import { newSigner, sampleLines } from './ledger-lab.ts';
import type { Ledger } from './ledger.ts';
import { MemoryFiles } from './memory-files.ts';
import { openLedger } from './open-ledger.ts';
import { verifyLedger } from './verify-ledger.ts';

const signer = newSigner();
const EPOCH = 'aaaaaaaaaaaaaaaa';
const FILE = '/ledger/epochs.json';

/** Without what an index remembers. */
function open(files: MemoryFiles): Promise<Ledger> {
  return openLedger({
    directory: '/ledger',
    signer,
    clock: systemClock,
    log: silentLog,
    files,
    indexFile: ':memory:',
    signEveryMs: 100_000,
  });
}

const batch = (firstSeq: number, count: number, point = 'gateway', epoch = EPOCH) => ({
  point,
  epoch,
  firstSeq,
  lines: sampleLines(firstSeq, count),
});

/** Signed when there are 600 entries, and again at the end, of 901. */
async function newLedger(): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  const ledger = await open(files);
  await ledger.appendBatch(batch(1, 500));
  await ledger.appendBatch(batch(1, 100, 'agent', 'bb'));
  await ledger.sign();
  await ledger.appendBatch(batch(1, 1, 'lone', 'ee'));
  await ledger.appendBatch(batch(501, 200));
  await ledger.appendBatch(batch(101, 50, 'agent', 'cc'));
  await ledger.appendBatch({ ...batch(701, 0), lines: ['', ''] });
  await ledger.appendBatch(batch(703, 49));
  await ledger.close();
  assert.equal(ledger.size, 901);
  return files;
}

/** Every point goes on where it was, without a gap and without a record that is there twice. */
async function check(files: MemoryFiles, where: string): Promise<void> {
  const ledger = await open(files);
  for (const known of [
    batch(1, 751),
    batch(1, 100, 'agent', 'bb'),
    batch(101, 50, 'agent', 'cc'),
    batch(1, 1, 'lone', 'ee'),
  ]) {
    const throughSeq = known.firstSeq + known.lines.length - 1;
    assert.deepEqual(await ledger.appendBatch(known), { kind: 'stored', throughSeq }, where);
  }
  assert.equal(ledger.size, 901, where);
  assert.equal((await ledger.appendBatch(batch(753, 1))).kind, 'out-of-sequence', where);
  await ledger.appendBatch(batch(752, 3));
  await ledger.appendBatch(batch(151, 1, 'agent', 'dd'));
  assert.equal(ledger.size, 905, where);
  await ledger.close();
  const key = noteKey(signer.keyName, signer.publicKey);
  const { findings, gapCount } = await verifyLedger({ directory: '/ledger', key, files });
  assert.deepEqual([findings, gapCount], [[], 1], where);
}

type Standing = { size: number; root: string; epochs: { point: string; epoch: string; nextSeq: number }[] };

const read = (files: MemoryFiles) => JSON.parse(String(files.content(FILE))) as Standing;
const write = (files: MemoryFiles, content: unknown) =>
  files.replace(FILE, Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)));

test('a ledger without an index reads only the entries since its epochs were kept', async () => {
  const files = await newLedger();
  assert.equal(read(files).size, 600);
  await check(files.copy(), 'kept');

  // The index, which is made again meanwhile, begins with the first bundle.
  const isSecondRead = async (of: MemoryFiles) => {
    const ledger = await open(of);
    const isRead = of.read.has('/ledger/tile/entries/001');
    await ledger.close();
    return isRead;
  };
  assert.equal(await isSecondRead(files.copy()), false);
  const without = files.copy();
  await without.remove(FILE);
  assert.equal(await isSecondRead(without), true);
  await check(without, 'none');
});

test('epochs of another history, of a longer tree or of no known form are not believed', async () => {
  const good = await newLedger();
  const standing = read(good);
  const other = new MemoryFiles();
  const ledger = await open(other);
  await ledger.appendBatch(batch(1, 600, 'agent', 'cc'));
  await ledger.close();
  const wrong = [{ point: 'gateway', epoch: EPOCH, nextSeq: 9_999 }];
  for (const [where, content] of [
    ['another history', read(other)],
    ['a wrong root', { ...standing, root: Buffer.alloc(32).toString('base64'), epochs: wrong }],
    ['another size', { ...standing, size: 599, epochs: wrong }],
    ['longer than the tree', { ...standing, size: 902, epochs: wrong }],
    ['no root', { ...standing, root: '', epochs: wrong }],
    ['an unknown member', { ...standing, epochs: wrong, more: 1 }],
    ['a number below 0', { ...standing, epochs: [{ ...wrong[0], nextSeq: -1 }] }],
    ['no JSON', '{"size":'],
    ['nothing', ''],
  ] as const) {
    const files = good.copy();
    write(files, content);
    await check(files, where);
  }
  // Positive control: with its size and root it is believed.
  const files = good.copy();
  write(files, { ...standing, epochs: [...standing.epochs, { point: 'other', epoch: 'ff', nextSeq: 10 }] });
  const misled = await open(files);
  await misled.appendBatch(batch(1, 9, 'other', 'ff'));
  assert.equal(misled.size, 901);
  await misled.close();
});

test('epochs are not believed of a ledger whose checkpoint and pending entries were put back', async () => {
  const files = new MemoryFiles();
  const ledger = await open(files);
  await ledger.appendBatch(batch(1, 300));
  await ledger.sign();
  const { checkpoint } = ledger;
  await ledger.appendBatch(batch(301, 300));
  await ledger.close();
  const again = await open(files);
  await again.appendBatch(batch(601, 1));
  await again.close();
  assert.equal(read(files).size, 601);
  files.replace('/ledger/checkpoint', Buffer.from(checkpoint));
  for (const path of files.paths()) if (path.includes('pending')) await files.remove(path);
  const back = await open(files);
  assert.equal(back.size, 300);
  await back.appendBatch(batch(301, 301));
  assert.equal(back.size, 601);
  await back.close();
});

test('a ledger whose epochs cannot be kept goes on', async () => {
  const files = new MemoryFiles();
  const ledger = await open(files);
  files.fate = ({ path }) => (path.startsWith(FILE) ? 'fails' : 'works');
  await ledger.appendBatch(batch(1, 300));
  await ledger.sign();
  assert.equal(ledger.healthy, true);
  await ledger.close();
  files.fate = () => 'works';
  const again = await open(files);
  assert.deepEqual(await again.appendBatch(batch(1, 301)), { kind: 'stored', throughSeq: 301 });
  assert.equal(again.size, 301);
  await again.close();
});
