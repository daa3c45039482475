import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { decodeRecord, encodeRecord } from '#domain/record';
import type { Files } from './files.ts';
import { openJournal, type Journal } from './journal.ts';
import { LedgerError } from './ledger-error.ts';
import { sampleLines, sampleRecord } from './ledger-lab.ts';
import { MemoryFiles, type Fate } from './memory-files.ts';

const quick = { relaxedMs: 1, retryMs: 1 };

async function newDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-journal-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

function open(directory: string, files?: Files, limits: object = quick): Promise<Journal> {
  return openJournal({
    directory,
    point: 'gateway',
    clock: systemClock,
    log: silentLog,
    limits,
    ...(files && { files }),
  });
}

/** Resolves with the error of `done`, or `undefined`. */
function append(
  journal: Journal,
  number: number,
  mode: 'durable' | 'relaxed' = 'durable',
): Promise<Error | undefined> {
  return new Promise(resolve => journal.append(sampleRecord(number), mode, resolve));
}

/** Everything that a journal has, lost ones as 0. */
async function readAll(journal: Journal): Promise<{ epoch: string; seq: number; number: number }[]> {
  const all: { epoch: string; seq: number; number: number }[] = [];
  for (let seq = journal.oldestSeq; ;) {
    const batch = await journal.readFrom(seq, 7);
    if (batch.lines.length === 0) return all;
    for (const [at, line] of batch.lines.entries()) {
      const number = line === '' ? 0 : (decodeRecord(line).timeMs - 1_790_000_000_000) / 10;
      all.push({ epoch: batch.epoch, seq: batch.firstSeq + at, number });
    }
    seq = batch.firstSeq + batch.lines.length;
  }
}

const numbers = (all: readonly { number: number }[]) => all.map(({ number }) => number);
const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

test('openJournal() gives back what was appended, in order, also after a restart', async t => {
  const directory = await newDirectory(t);
  const first = await open(directory);
  await Promise.all(upTo(20).map(number => append(first, number, number % 2 === 0 ? 'durable' : 'relaxed')));
  assert.deepEqual((await first.readFrom(1, 100)).lines, sampleLines(1, 20));
  await first.close();
  const second = await open(directory);
  assert.equal(second.nextSeq, 21);
  await append(second, 21);
  const all = await readAll(second);
  assert.deepEqual(numbers(all), upTo(21));
  assert.deepEqual(
    all.map(({ seq }) => seq),
    upTo(21),
  );
  assert.notEqual(all[19]?.epoch, all[20]?.epoch);
  await second.close();
});

test('openJournal() makes files that only their owner can read', async t => {
  const directory = join(await newDirectory(t), 'journal');
  const journal = await open(directory);
  await append(journal, 1);
  await journal.close();
  assert.equal((await stat(directory)).mode & 0o777, 0o700);
  const [segment] = await segments(directory);
  assert.equal((await stat(join(directory, segment ?? ''))).mode & 0o777, 0o600);
});

test('openJournal() rejects a directory that another journal has open', async t => {
  const directory = await newDirectory(t);
  const journal = await open(directory);
  await assert.rejects(
    open(directory),
    (error: unknown) => error instanceof LedgerError && error.code === 'in-use',
  );
  await journal.close();
  await (await open(directory)).close();
});

test('append() brings relaxed records to the disk within 100 ms', async t => {
  const journal = await open(await newDirectory(t), undefined, {});
  const started = performance.now();
  await append(journal, 1, 'relaxed');
  assert.ok(performance.now() - started < 100, `${performance.now() - started} ms`);
  await journal.close();
});

test('append() shares one sync among all durable records that wait', async t => {
  const files = new MemoryFiles();
  const journal = await open('/journal', files);
  await append(journal, 1);
  const before = files.operations;
  await Promise.all(upTo(500).map(number => append(journal, number)));
  assert.ok(files.operations - before <= 6, `${files.operations - before} operations`);
  t.diagnostic(`${files.operations - before} operations for 500 durable records`);
  await journal.close();
});

test('append() on a closed journal fails', async () => {
  const journal = await open('/journal', new MemoryFiles());
  await journal.close();
  const error = await append(journal, 1);
  assert.ok(error instanceof LedgerError && error.code === 'closed');
  assert.equal(journal.healthy, false);
});

test('append() confirms to the others when one who waits throws, and the journal goes on', async () => {
  const files = new MemoryFiles();
  const errors: string[] = [];
  const log = { ...silentLog, error: (message: string) => void errors.push(message) };
  const journal = await openJournal({
    directory: '/journal',
    point: 'gateway',
    clock: systemClock,
    log,
    limits: quick,
    files,
  });
  const broken = () => {
    throw new RangeError('a bug');
  };
  let told = 0;
  journal.onAppended(broken);
  journal.onAppended(() => (told += 1));
  journal.append(sampleRecord(1), 'durable', broken);
  assert.equal(await append(journal, 2), undefined);
  assert.equal(await append(journal, 3), undefined);
  assert.ok(told > 0);
  assert.deepEqual(errors, ['who waited for the journal failed']);
  files.fate = ({ name }) => (name === 'write' ? 'fails' : 'works');
  journal.append(sampleRecord(4), 'durable', broken);
  assert.ok((await append(journal, 5)) instanceof LedgerError);
  journal.append(sampleRecord(6), 'durable', broken);
  assert.ok((await append(journal, 7)) instanceof LedgerError);
  files.fate = () => 'works';
  await journal.close();
  journal.append(sampleRecord(8), 'durable', broken);
  assert.ok((await append(journal, 9)) instanceof LedgerError);
});

test('onAppended() tells of every commit until it is unsubscribed', async () => {
  const journal = await open('/journal', new MemoryFiles());
  let calls = 0;
  const stop = journal.onAppended(() => (calls += 1));
  await append(journal, 1);
  assert.equal(calls, 1);
  stop();
  await append(journal, 2);
  assert.equal(calls, 1);
  await journal.close();
});

test('readFrom() shows nothing that is not on the disk', async () => {
  const files = new MemoryFiles();
  const journal = await open('/journal', files);
  files.fate = ({ name }) => (name === 'sync' ? 'fails-but-persists' : 'works');
  assert.ok((await append(journal, 1)) instanceof LedgerError);
  assert.deepEqual((await journal.readFrom(1, 10)).lines, []);
  files.fate = () => 'works';
  await journal.close();
});

test('acknowledge() removes segments, never the newest, and numbers go on after a restart', async t => {
  const directory = await newDirectory(t);
  const limits = { ...quick, segmentBytes: 2_000 };
  const journal = await open(directory, undefined, limits);
  for (const number of upTo(30)) await append(journal, number);
  const before = (await segments(directory)).length;
  assert.ok(before > 5, `${before} segments`);
  journal.acknowledge(15);
  assert.equal(journal.oldestSeq, 16);
  assert.deepEqual(numbers(await readAll(journal)), upTo(30).slice(15));
  journal.acknowledge(1_000);
  assert.equal(journal.oldestSeq, 31);
  await journal.close();
  assert.equal((await segments(directory)).length, 1);
  const again = await open(directory, undefined, limits);
  assert.equal(again.nextSeq, 31);
  await append(again, 31);
  again.acknowledge(30);
  await again.close();
  const once = await open(directory, undefined, limits);
  assert.equal(once.nextSeq, 32);
  assert.deepEqual(numbers(await readAll(once)), [31]);
  await once.close();
});

test('openJournal() cuts a torn tail, wherever the kill came', async t => {
  const directory = await newDirectory(t);
  const journal = await open(directory);
  for (const number of upTo(3)) await append(journal, number);
  await journal.close();
  const [name = ''] = await segments(directory);
  const whole = await readFile(join(directory, name));
  const lastLine = whole.lastIndexOf(10, whole.byteLength - 2) + 1;
  for (let bytes = lastLine; bytes < whole.byteLength; bytes += 37) {
    await writeFile(join(directory, name), whole.subarray(0, bytes));
    const cut = await open(directory);
    assert.equal(cut.nextSeq, 3);
    assert.deepEqual(numbers(await readAll(cut)), [1, 2]);
    await cut.close();
    assert.equal((await stat(join(directory, name))).size, lastLine);
  }
});

test('readFrom() gives empty lines for records that were changed or removed in place', async t => {
  const directory = await newDirectory(t);
  const journal = await open(directory);
  for (const number of upTo(6)) await append(journal, number);
  const [name = ''] = await segments(directory);
  const path = join(directory, name);
  const whole = (await readFile(path)).toString();
  const lines = whole.trimEnd().split('\n');
  const swapped = [...lines];
  [swapped[1], swapped[2]] = [lines[2] ?? '', lines[1] ?? ''];
  const changes: [string, string, number[]][] = [
    ['flipped byte', whole.replace('/item/3', '/item/8'), [1, 2, 0, 4, 5, 6]],
    ['other number', whole.replace('{"seq":3', '{"seq":9'), [1, 2, 0, 4, 5, 6]],
    ['removed line', `${lines.toSpliced(3, 1).join('\n')}\n`, [1, 2, 3, 0, 5, 6]],
    ['removed first line', `${lines.slice(1).join('\n')}\n`, [0, 2, 3, 4, 5, 6]],
    ['swapped lines', `${swapped.join('\n')}\n`, [1, 0, 3, 4, 5, 6]],
    // What stands behind the end that the journal knows does not count.
    ['line twice', `${lines.toSpliced(2, 0, lines[1] ?? '').join('\n')}\n`, [1, 2, 3, 4, 5, 0]],
    ['joined lines', whole.replace('}\n{"seq":3', '}{"seq":3'), [1, 0, 0, 4, 5, 6]],
    ['removed tail', `${lines.slice(0, 4).join('\n')}\n`, [1, 2, 3, 4, 0, 0]],
    [
      'binary rubbish',
      `${lines.slice(0, 2).join('\n')}\n${'\u0000\u00ff\n'.repeat(9)}${lines.slice(3).join('\n')}\n`,
      [1, 2, 0, 4, 5, 6],
    ],
  ];
  for (const [what, text, expected] of changes) {
    await writeFile(path, text, 'latin1');
    assert.deepEqual(numbers(await readAll(journal)), expected, what);
  }
  await journal.close();
});

test('readFrom() gives empty lines for a segment that is gone', async t => {
  const directory = await newDirectory(t);
  const journal = await open(directory, undefined, { ...quick, segmentBytes: 2_000 });
  for (const number of upTo(12)) await append(journal, number);
  await journal.close();
  const [, second = ''] = await segments(directory);
  const lost = (await readFile(join(directory, second))).toString().split('\n').length - 1;
  await unlink(join(directory, second));
  const again = await open(directory);
  const read = numbers(await readAll(again));
  assert.equal(read.length, 12);
  assert.equal(read.filter(number => number === 0).length, lost);
  await again.close();
});

test('readFrom() does not take lines of another journal', async t => {
  const [one, two] = [await newDirectory(t), await newDirectory(t)];
  for (const directory of [one, two]) {
    const journal = await open(directory);
    await append(journal, 1);
    await journal.close();
  }
  const [[from = ''], [to = '']] = [await segments(one), await segments(two)];
  await writeFile(join(two, to), await readFile(join(one, from)));
  const journal = await open(two);
  assert.deepEqual(numbers(await readAll(journal)), []);
  await journal.close();
});

test('append() reports a full disk, keeps the records, and recovers when there is space', async () => {
  const files = new MemoryFiles();
  const journal = await open('/journal', files);
  await append(journal, 1);
  files.fate = ({ name }) => (name === 'write' ? 'fails' : 'works');
  const failed = await append(journal, 2);
  assert.ok(failed instanceof LedgerError && failed.code === 'write-failed');
  assert.equal(journal.healthy, false);
  const refused = await append(journal, 3);
  assert.ok(refused instanceof LedgerError && refused.code === 'write-failed');
  files.fate = () => 'works';
  while (!journal.healthy) await new Promise(resolve => void setTimeout(resolve, 1));
  assert.equal(await append(journal, 4), undefined);
  assert.deepEqual(numbers(await readAll(journal)), [1, 2, 3, 4]);
  await journal.close();
});

test('append() drops what a slow disk leaves no room for, loudly, and the loss shows', async () => {
  const files = new MemoryFiles();
  const room = encodeRecord(sampleRecord(1)).length * 4;
  const journal = await open('/journal', files, { ...quick, maxQueuedBytes: room });
  const outcomes = await Promise.all(upTo(10).map(number => append(journal, number, 'relaxed')));
  const dropped = outcomes.filter(error => error instanceof LedgerError && error.code === 'overflow').length;
  assert.ok(dropped > 0 && dropped === journal.dropped);
  assert.equal(await append(journal, 11), undefined);
  assert.equal(journal.healthy, true);
  const read = numbers(await readAll(journal));
  assert.equal(read.length, 11);
  assert.equal(read.filter(number => number === 0).length, dropped);
  await journal.close();
});

const FATES: readonly Fate[] = ['fails', 'fails-but-persists', 'short', 'crash'];

test('no confirmed record is lost or doubled, whatever happens to any one operation', async t => {
  let runs = 0;
  const limits = { ...quick, segmentBytes: 1_500 };
  for (const fate of FATES) {
    for (let at = 1; ; at += 1) {
      const files = new MemoryFiles();
      let struck = false;
      files.fate = ({ count }) => {
        struck ||= count === at;
        return count === at ? fate : 'works';
      };
      const confirmed = new Set<number>();
      await workload(files, limits, confirmed);
      if (!struck) break;
      for (const after of ['power-cut', 'kill'] as const) {
        files.restart(after);
        const journal = await open('/journal', files, limits);
        const found = numbers(await readAll(journal)).filter(number => number > 0);
        const missing = [...confirmed].filter(number => number > 3 && !found.includes(number));
        assert.deepEqual(missing, [], `${fate} at operation ${at}, ${after}`);
        assert.equal(new Set(found).size, found.length, `doubled: ${fate} at operation ${at}, ${after}`);
        assert.deepEqual(
          found,
          found.toSorted((a, b) => a - b),
        );
        assert.ok(journal.nextSeq > Math.max(0, ...confirmed), 'a number would be used twice');
        await journal.close();
      }
      runs += 1;
    }
  }
  t.diagnostic(`${runs} faults`);
  assert.ok(runs > 100, `${runs} faults`);
});

/** Opens, writes, acknowledges, closes, opens and writes again, as far as the fault lets it. */
async function workload(files: MemoryFiles, limits: object, confirmed: Set<number>): Promise<void> {
  let number = 1;
  for (let life = 0; life < 2; life += 1) {
    const journal = await open('/journal', files, limits).catch(() => undefined);
    if (journal === undefined) continue;
    for (let group = 0; group < 3 && !files.crashed; group += 1) {
      const written = [number, number + 1, number + 2];
      number += 3;
      const outcomes = await Promise.race([
        Promise.all(written.map(each => append(journal, each, each % 3 === 0 ? 'relaxed' : 'durable'))),
        new Promise<undefined>(resolve => void setTimeout(() => resolve(undefined), 500)),
      ]);
      for (const [at, error] of (outcomes ?? []).entries())
        if (error === undefined) confirmed.add(written[at] ?? 0);
      if (life === 0 && group === 1) journal.acknowledge(3);
      for (let tries = 0; !journal.healthy && !files.crashed && tries < 50; tries += 1) {
        await new Promise(resolve => void setTimeout(resolve, 1));
      }
    }
    await journal.close().catch(() => {});
  }
}

test('kill -9 loses no confirmed record', async t => {
  const directory = await newDirectory(t);
  const script = fileURLToPath(new URL('journal-writer.fixture.ts', import.meta.url));
  for (let round = 0; round < 3; round += 1) {
    const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.length > 800 + 300 * round) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const confirmed = said.slice(0, said.lastIndexOf('\n')).split('\n').map(Number);
    const journal = await open(directory);
    const found = (await readAll(journal)).filter(({ number }) => number > 0);
    assert.ok(found.every(({ seq, number }) => seq === number));
    const present = new Set(numbers(found));
    assert.ok(confirmed.length > 50);
    assert.deepEqual(
      confirmed.filter(number => !present.has(number)),
      [],
    );
    assert.equal(present.size, found.length);
    t.diagnostic(`round ${round}: ${confirmed.length} confirmed, ${found.length} in the journal`);
    await journal.close();
  }
});

test('a journal whose newest segment is empty keeps its numbers', async t => {
  const directory = await newDirectory(t);
  const journal = await open(directory, undefined, { ...quick, segmentBytes: 1 });
  for (const number of upTo(3)) await append(journal, number);
  journal.acknowledge(3);
  await journal.close();
  const [last = ''] = await segments(directory);
  await truncate(join(directory, last), 0);
  const again = await open(directory);
  assert.equal(again.nextSeq, 3);
  await again.close();
});

async function segments(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter(name => name.endsWith('.ndjson')).sort();
}
