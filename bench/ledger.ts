/**
 * What control's ledger costs: the rate at which it takes records, how long it takes to open again whatever has
 * happened, how fast it verifies, and its memory.
 *
 *     node bench/ledger.ts [records]
 *
 * Bars: opening below 1 s for each million records, memory at full rate below 150 MB above that of an idle ledger.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, stdout } from 'node:process';
import { Point } from './ledger-point.ts';
import { Control, startControl } from './ledger-process.ts';

const RECORDS = Number(argv[2] ?? 1_000_000);
/** What a point sends at once. */
const BATCH_RECORDS = 1_024;
const POINTS = ['gateway', 'agent'] as const;
const BAR_MS_PER_MILLION = 1_000;
const BAR_MB = 150;

const home = await mkdtemp(join(tmpdir(), 'ringwall-bench-ledger-'));
try {
  await measure();
} finally {
  await rm(home, { recursive: true, force: true });
}

async function measure(): Promise<void> {
  await writeFile(
    join(home, 'key.pem'),
    generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }),
    { mode: 0o600 },
  );
  const points = POINTS.map(name => new Point(name));
  await measureAppending(points);
  await measureOpening(points);
  await measureVerifying();
}

async function measureAppending(points: readonly Point[]): Promise<void> {
  const { control } = await startControl(home);
  const idle = await control.index();
  const started = performance.now();
  await bring(control, points, RECORDS);
  const seconds = (performance.now() - started) / 1_000;
  const { peakMb, youngMb } = await control.index();
  const indexed = (performance.now() - started) / 1_000;
  const above = peakMb - idle.residentMb;
  const memory = `idle ${idle.residentMb.toFixed(0)} MB, at most ${above.toFixed(0)} MB above it`;
  const young = `V8's young generation ${youngMb.toFixed(0)} MB`;
  line(
    'append',
    `${(RECORDS / seconds).toFixed(0)} records/s, searchable ${(indexed - seconds).toFixed(1)} s later`,
  );
  line('memory', `${memory} ${verdict(above, BAR_MB, 'MB')}, ${young}`);
  await control.close();
}

async function measureOpening(points: readonly Point[]): Promise<void> {
  const index = join(home, 'ledger', 'index.db');
  const cases: readonly (readonly [string, () => Promise<void>])[] = [
    ['after a clean end', async () => {}],
    ['after kill -9 under load', () => killUnderLoad(points)],
    ['index deleted', () => removeIndex(index)],
    ['kill -9, index deleted', () => killUnderLoad(points).then(() => removeIndex(index))],
    [
      'index no database',
      async () => {
        await removeIndex(index);
        await writeFile(index, randomBytes(65_536));
      },
    ],
    ['index damaged inside', () => damage(index)],
    [
      'index and epochs deleted',
      () => removeIndex(index).then(() => rm(join(home, 'ledger', 'epochs.json'))),
    ],
  ];
  for (const [name, prepare] of cases) {
    await prepare();
    const started = performance.now();
    const { control, openMs, size } = await startControl(home);
    await bring(control, points, 1);
    const firstMs = performance.now() - started;
    const { peakMb } = await control.index();
    const seconds = (performance.now() - started) / 1_000;
    const barMs = BAR_MS_PER_MILLION * Math.max(1, size / 1e6);
    const opened = `${openMs.toFixed(0)} ms for ${size} records ${verdict(openMs, barMs, 'ms')}`;
    const indexed = `searchable after ${seconds.toFixed(1)} s, peak ${peakMb.toFixed(0)} MB`;
    line(`open, ${name}`, `${opened}, from start to first record ${firstMs.toFixed(0)} ms, ${indexed}`);
    await control.close();
  }
}

async function measureVerifying(): Promise<void> {
  const control = new Control(home, 'verify');
  const { ms, peakMb, size } = await control.hear('verified');
  line('verify', `${((size * 1e3) / ms).toFixed(0)} records/s, peak ${peakMb.toFixed(0)} MB`);
}

/** Ends the process while it takes records as fast as it can. */
async function killUnderLoad(points: readonly Point[]): Promise<void> {
  const { control } = await startControl(home);
  const load = bring(control, points, Number.POSITIVE_INFINITY).catch(() => {});
  await new Promise(resolve => void setTimeout(resolve, 3_000));
  await control.kill();
  await load;
}

async function removeIndex(path: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) await rm(path + suffix, { force: true });
}

/** Overwrites pages in the middle of the index. */
async function damage(path: string): Promise<void> {
  const middle = Math.floor((await stat(path)).size / 2);
  const file = await open(path, 'r+');
  await file.write(randomBytes(65_536), 0, 65_536, middle);
  await file.close();
}

/** Brings records of all points, one batch of each at a time, until there are `count` more. */
async function bring(control: Control, points: readonly Point[], count: number): Promise<void> {
  let left = count;
  await Promise.all(
    points.map(async point => {
      while (left > 0) {
        const size = Math.min(BATCH_RECORDS, left);
        left -= size;
        const batch = point.nextBatch(size);
        await control.append(batch);
        point.confirmed();
      }
    }),
  );
}

function line(name: string, text: string): void {
  stdout.write(`${name.padEnd(26)} ${text}\n`);
}

function verdict(value: number, bar: number, unit: string): string {
  return `(bar ${bar.toFixed(0)} ${unit}${value <= bar ? '' : ': MISSED'})`;
}
