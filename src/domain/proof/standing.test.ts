import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LastResult } from './proof.ts';
import { carryOver, proofName, PROOF_WINDOW_MS, standingOf, type Standing } from './standing.ts';

const NOW_MS = 1_790_000_000_000;
const ENFORCED = { kind: 'enforced' } as const;
const OPEN = { kind: 'not-enforced', why: 'no privileges' } as const;

function last(id: string, atMs: number): LastResult {
  const verdict = { kind: 'held', why: 'refused' } as const;
  return { id, service: 'front', ring: 'edge', verdict, atMs, proof: proofName(atMs) };
}

const shots = (...ids: string[]) => ids.map(id => ({ id }));

/** What of `results` counts beside a proof that is made now. */
function carried(
  results: readonly LastResult[],
  changes: Partial<Pick<Standing, 'model' | 'network'>> = {},
  made: readonly string[] = [],
): string[] {
  const standing: Standing = { model: 'sha256:1', network: ENFORCED, results, ...changes };
  const proof = { model: 'sha256:1', network: ENFORCED, startedMs: NOW_MS };
  return carryOver(standing, { proof, aimed: shots('a', 'b', 'c'), made: shots(...made) }).map(
    ({ id }) => id,
  );
}

test('carryOver() keeps what was attacked within the window, and is not attacked now', () => {
  assert.deepEqual(carried([last('a', NOW_MS - 1), last('b', NOW_MS - 1)], {}, ['a']), ['b']);
  assert.deepEqual(carried([last('a', NOW_MS - PROOF_WINDOW_MS + 1)]), ['a']);
});

test('carryOver() keeps nothing that is too old, from the future, or not aimed at any more', () => {
  assert.deepEqual(
    carried([last('a', NOW_MS - PROOF_WINDOW_MS), last('b', NOW_MS + 1), last('z', NOW_MS - 1)]),
    [],
  );
});

test('carryOver() keeps nothing of another model, of another network, or of no proof at all', () => {
  const results = [last('a', NOW_MS - 1)];
  assert.deepEqual(carried(results), ['a']);
  assert.deepEqual(carried(results, { model: 'sha256:2' }), []);
  assert.deepEqual(carried(results, { network: OPEN }), []);
  const proof = { model: 'sha256:1', network: ENFORCED, startedMs: NOW_MS };
  assert.deepEqual(carryOver(undefined, { proof, aimed: shots('a'), made: [] }), []);
});

test('standingOf() gives the attacks of a proof and those that it carried, each with where its evidence is', () => {
  const earlier = [last('b', NOW_MS - 5)];
  const shot = { id: 'a', service: 'front', attack: { ring: 'edge' } } as const;
  const verdict = { kind: 'held', why: 'refused' } as const;
  const proof = {
    model: 'sha256:1',
    network: ENFORCED,
    startedMs: NOW_MS,
    results: [{ shot, verdict }],
    earlier,
  };
  assert.deepEqual(standingOf(proof), {
    model: 'sha256:1',
    network: ENFORCED,
    results: [last('a', NOW_MS), ...earlier],
  });
});

test('proofName() sorts by time', () => {
  assert.equal(proofName(0), '1970-01-01T000000-000Z.json');
  assert.ok(proofName(NOW_MS) < proofName(NOW_MS + 1) && proofName(NOW_MS) < proofName(NOW_MS + 86_400_000));
});
