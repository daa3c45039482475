import { generateKeyPairSync, sign } from 'node:crypto';
import type { Signer } from '#domain/merkle';
import { encodeRecord, type TransactionRecord } from '#domain/record';

/** A record that differs from the others by its number. */
export function sampleRecord(number: number, changes: Partial<TransactionRecord> = {}): TransactionRecord {
  return {
    timeMs: 1_790_000_000_000 + number * 10,
    requestId: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
    traceId: '0af7651916cd43dd8448eb211c80319c',
    direction: 'edge',
    client: { kind: 'user', id: 'https://id.boutique.test|alice', address: '192.0.2.7' },
    user: 'https://id.boutique.test|alice',
    caller: '',
    callee: 'spiffe://boutique.internal/ns/default/sa/frontend',
    host: 'shop.boutique.test',
    method: 'GET',
    path: `/item/${number}`,
    rule: 'GET /item/*',
    decision: 'allowed',
    reason: '',
    detail: '',
    status: 200,
    bytesIn: 0,
    bytesOut: 512,
    durationUs: 900,
    ...changes,
  };
}

export function sampleLines(firstNumber: number, count: number): string[] {
  return Array.from({ length: count }, (_, at) => encodeRecord(sampleRecord(firstNumber + at)));
}

export function newSigner(keyName = 'boutique.internal/ledger'): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { keyName, publicKey: raw, sign: bytes => sign(null, bytes, privateKey) };
}
