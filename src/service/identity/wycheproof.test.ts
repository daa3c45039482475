import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FakeClock } from '#base/clock';
import { silentLog } from '#base/log';
import { parseJws, type JsonObject } from '#domain/jwt';
import { TokenVerifier } from '#service/identity';
import { importKey, type TokenAlgorithm } from './key-set.ts';
import { signatureVerifies } from './signature.ts';

// Project Wycheproof's JWS vectors through the three steps by which the verifier reaches a signature: strict form, key
// import, signature. Types and claims are left out, for the vectors have none: with them all would be refused, which
// the last test shows.
const url = new URL('../../../../shared/vectors/wycheproof/json_web_signature_test.json', import.meta.url);
const skip = existsSync(url) ? false : 'the vectors are not beside the repository';

type Vector = {
  readonly tcId: number;
  readonly comment: string;
  readonly jws: unknown;
  readonly result: 'valid' | 'invalid';
};
type Group = {
  readonly comment: string;
  readonly public?: JsonObject;
  readonly private?: JsonObject;
  readonly tests: readonly Vector[];
};

const ALGORITHMS: readonly TokenAlgorithm[] = ['ES256', 'RS256', 'PS256', 'EdDSA'];

async function accepts(vector: Vector, key: JsonObject, algorithm: TokenAlgorithm): Promise<boolean> {
  // One group writes its vectors as JSON serializations: objects, or texts of them.
  const text = typeof vector.jws === 'string' ? vector.jws : JSON.stringify(vector.jws);
  const parsed = parseJws(text);
  if (parsed.kind === 'refused' || parsed.jws.alg !== algorithm) return false;
  const imported = await importKey(key, algorithm);
  return imported !== undefined && (await signatureVerifies(text, imported, algorithm)) === 'good';
}

function load(): readonly Group[] {
  return (JSON.parse(readFileSync(url, 'utf8')) as { testGroups: Group[] }).testGroups;
}

test(
  'Wycheproof: every invalid JWS is refused, under whichever algorithm its issuer is declared',
  { skip },
  async () => {
    let checked = 0;
    for (const group of load()) {
      for (const vector of group.tests.filter(({ result }) => result === 'invalid')) {
        for (const algorithm of ALGORITHMS) {
          const key = group.public ?? group.private ?? {};
          assert.equal(
            await accepts(vector, key, algorithm),
            false,
            `${vector.tcId} ${vector.comment} as ${algorithm}`,
          );
        }
        checked += 1;
      }
    }
    assert.equal(checked, 355);
  },
);

test('Wycheproof: every valid JWS of an algorithm that we have is accepted', { skip }, async () => {
  let accepted = 0;
  const skipped = new Set<string>();
  for (const group of load()) {
    const key = group.public ?? group.private ?? {};
    for (const vector of group.tests.filter(({ result }) => result === 'valid')) {
      const algorithm = algorithmOf(vector);
      if (isOurs(algorithm)) {
        assert.equal(await accepts(vector, key, algorithm), true, `${vector.tcId} ${vector.comment}`);
        accepted += 1;
      } else {
        skipped.add(algorithm);
      }
    }
  }
  assert.equal(accepted, 16);
  // The other 30: no issuer can be declared with these algorithms.
  assert.deepEqual([...skipped].sort(), ['ES512', 'HS256', 'PS384', 'PS512', 'RS384', 'RS512']);
});

function algorithmOf(vector: Vector): string {
  const header = String(vector.jws).split('.', 1)[0] ?? '';
  return (JSON.parse(Buffer.from(header, 'base64url').toString()) as { alg: string }).alg;
}

function isOurs(algorithm: string): algorithm is TokenAlgorithm {
  return ALGORITHMS.some(ours => ours === algorithm);
}

test('Wycheproof: none is an access token', { skip }, async () => {
  const clock = new FakeClock();
  const verifier = new TokenVerifier({ issuers: [], clock, log: silentLog });
  for (const { tests } of load()) {
    for (const { jws } of tests) {
      const verdict = await verifier.verify(typeof jws === 'string' ? jws : JSON.stringify(jws));
      assert.equal(verdict.kind, 'refused');
    }
  }
});
