/** The ledger of a control process, alone in a process of its own, told what to do over IPC. */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process, { argv, memoryUsage } from 'node:process';
import { getHeapSpaceStatistics } from 'node:v8';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { noteKey, type Signer } from '#domain/merkle';
import { openLedger, verifyLedger, type JournalBatch, type Ledger } from '#service/ledger';

export type Order =
  | { readonly kind: 'append'; readonly batch: JournalBatch }
  | { readonly kind: 'index' }
  | { readonly kind: 'close' };

export type Answer =
  | { readonly kind: 'open'; readonly openMs: number; readonly size: number }
  | { readonly kind: 'appended'; readonly point: string }
  | {
      readonly kind: 'indexed';
      readonly residentMb: number;
      readonly peakMb: number;
      /** What V8 has taken for new objects. */
      readonly youngMb: number;
    }
  | { readonly kind: 'verified'; readonly ms: number; readonly size: number; readonly peakMb: number };

const SAMPLE_EVERY_MS = 50;

const [, , home = '', task] = argv;
const directory = join(home, 'ledger');
const signer = readSigner(home);
let peakMb = residentMb();
setInterval(() => (peakMb = Math.max(peakMb, residentMb())), SAMPLE_EVERY_MS).unref();
const started = performance.now();
if (task === 'verify') {
  const { kind, size } = await verifyLedger({ directory, key: noteKey(signer.keyName, signer.publicKey) });
  if (kind !== 'intact') throw new Error(`the ledger is not intact: ${kind}`);
  answer({ kind: 'verified', ms: performance.now() - started, size, peakMb });
  process.disconnect();
} else {
  const ledger = await openLedger({ directory, signer, clock: systemClock, log: silentLog });
  process.on('message', (order: Order) => void obey(ledger, order));
  answer({ kind: 'open', openMs: performance.now() - started, size: ledger.size });
}

async function obey(of: Ledger, order: Order): Promise<void> {
  switch (order.kind) {
    case 'append':
      await of.appendBatch(order.batch);
      return answer({ kind: 'appended', point: order.batch.point });
    case 'index':
      while (of.indexedSize < of.size) await new Promise(resolve => void setTimeout(resolve, 20));
      return answer({ kind: 'indexed', residentMb: residentMb(), peakMb, youngMb: youngMb() });
    case 'close':
      await of.close();
      process.disconnect();
      return undefined;
  }
}

function answer(what: Answer): void {
  process.send?.(what);
}

function residentMb(): number {
  return memoryUsage.rss() / 2 ** 20;
}

function youngMb(): number {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return (space?.physical_space_size ?? 0) / 2 ** 20;
}

function readSigner(from: string): Signer {
  const privateKey = createPrivateKey(readFileSync(join(from, 'key.pem')));
  const raw = Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x ?? '', 'base64url');
  return {
    keyName: 'boutique.internal/ledger',
    publicKey: raw,
    sign: bytes => sign(null, bytes, privateKey),
  };
}
