import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { noteKey } from '#domain/merkle';
import { encodeRecord, type TransactionRecord } from '#domain/record';
import { openLedger, verifyLedger } from '#service/ledger';
import type { Grounds } from '#service/prove';

const RECORD: TransactionRecord = {
  timeMs: 1_790_000_000_000,
  requestId: '',
  traceId: '0'.repeat(32),
  direction: 'edge',
  client: { kind: 'anonymous', id: '', address: '127.0.0.1' },
  user: '',
  caller: '',
  callee: '',
  host: 'shop.test',
  method: 'GET',
  path: '/',
  rule: '',
  decision: 'allowed',
  reason: '',
  detail: '',
  status: 200,
  bytesIn: 0,
  bytesOut: 0,
  durationUs: 1,
};

export type LabLedger = {
  readonly files: NonNullable<Grounds['ledger']>;
  readonly remove: () => Promise<void>;
};

/** A real ledger with a few records in a directory of its own. @param state `damaged`: one byte of it has changed since */
export async function writeLedger(trustDomain: string, state: 'whole' | 'damaged'): Promise<LabLedger> {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-lab-ledger-'));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keyName = `${trustDomain}/ledger`;
  const key = noteKey(keyName, publicKey.export({ type: 'spki', format: 'der' }).subarray(-32));
  const signer = {
    keyName,
    publicKey: key.publicKey,
    sign: (bytes: Uint8Array) => sign(null, bytes, privateKey),
  };
  const ledger = await openLedger({ directory, signer, clock: systemClock, log: silentLog });
  const lines = Array.from({ length: 8 }, (_, at) => encodeRecord({ ...RECORD, requestId: `${at}` }));
  await ledger.appendBatch({ point: 'gateway', epoch: randomBytes(8).toString('hex'), firstSeq: 1, lines });
  await ledger.sign();
  const { checkpoint } = ledger;
  await ledger.close();
  if (state === 'damaged') await flipOneByte(directory);
  return {
    files: { directory, statement: () => Promise.resolve({ checkpoint, key }), verify: verifyLedger },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function flipOneByte(directory: string): Promise<void> {
  const folder = join(directory, 'tile', 'entries', '000.p');
  for (const name of await readdir(folder)) {
    const bytes = await readFile(join(folder, name));
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await writeFile(join(folder, name), bytes);
  }
}
