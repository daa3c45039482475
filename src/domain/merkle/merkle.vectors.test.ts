import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MerkleError, verifyConsistency, verifyInclusion } from './index.ts';

const VECTORS = fileURLToPath(new URL('../../../../shared/vectors/merkle', import.meta.url));
const skip = existsSync(VECTORS) ? false : 'no test vectors at ../shared/vectors/merkle';

type InclusionVector = {
  leafIdx: number;
  treeSize: number;
  root: string;
  leafHash: string;
  proof: string[] | null;
  desc: string;
  wantErr: boolean;
};
type ConsistencyVector = {
  size1: number;
  size2: number;
  root1: string;
  root2: string;
  proof: string[] | null;
  desc: string;
  wantErr: boolean;
};

describe('vectors of transparency-dev/merkle', { skip }, () => {
  test('verifyInclusion() gives every expected verdict', () => {
    const verdicts = { good: 0, bad: 0 };
    for (const vector of read<InclusionVector>('inclusion')) {
      const claim = {
        index: vector.leafIdx,
        size: vector.treeSize,
        root: bytes(vector.root),
        leafHash: bytes(vector.leafHash),
      };
      expectVerdict(vector, () => verifyInclusion(claim, (vector.proof ?? []).map(bytes)));
      verdicts[vector.wantErr ? 'bad' : 'good'] += 1;
    }
    assert.ok(verdicts.good >= 5 && verdicts.bad >= 90, JSON.stringify(verdicts));
  });

  test('verifyConsistency() gives every expected verdict', () => {
    const verdicts = { good: 0, bad: 0 };
    for (const vector of read<ConsistencyVector>('consistency')) {
      const claim = {
        size1: vector.size1,
        size2: vector.size2,
        root1: bytes(vector.root1),
        root2: bytes(vector.root2),
      };
      expectVerdict(vector, () => verifyConsistency(claim, (vector.proof ?? []).map(bytes)));
      verdicts[vector.wantErr ? 'bad' : 'good'] += 1;
    }
    assert.ok(verdicts.good >= 5 && verdicts.bad >= 80, JSON.stringify(verdicts));
  });

  test(
    'subtree proofs',
    { skip: 'subtrees (draft-ietf-plants-merkle-tree-certs) are not offered here' },
    () => {},
  );
});

function read<T>(folder: string): T[] {
  return readdirSync(join(VECTORS, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.json'))
    .map(name => JSON.parse(readFileSync(join(VECTORS, folder, name), 'utf8')) as T);
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

function expectVerdict(vector: { desc: string; wantErr: boolean }, verify: () => void): void {
  if (vector.wantErr) assert.throws(verify, MerkleError, vector.desc);
  else assert.doesNotThrow(verify, vector.desc);
}
