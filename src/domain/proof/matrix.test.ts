import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModel, type Model } from '#domain/model';
import type { Ring } from '#domain/rings';
import { formatProof } from './format-proof.ts';
import { drawMatrix } from './matrix.ts';
import type { LastResult, Proof, ShotResult } from './proof.ts';
import { lastOf } from './standing.ts';

const parsed = parseModel({
  file: 'ringwall.yaml',
  directory: '/',
  text: `apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
edge:
  hosts:
    shop.test:
      - { path: /, methods: [GET], to: front, clients: [anonymous], limits: [20/s burst 40 per client] }
services:
  front:
    data: internal
    listen: http 8080
    calls: { constructor: [GET /a] }
  constructor:
    data: restricted
    listen: http 8081
`,
});
const model: Model = parsed.kind === 'model' ? parsed.model : assert.fail(JSON.stringify(parsed.problems));

const ENFORCED = { kind: 'enforced' } as const;
const OPEN = { kind: 'not-enforced', why: 'no privileges' } as const;

function result(
  ring: Ring,
  service: string,
  kind: 'held' | 'failed' | 'inconclusive',
  received = '',
): ShotResult {
  return {
    shot: {
      id: `${ring}/probe@${service}`,
      service,
      target: `${service}: GET /`,
      attack: { id: `${ring}/probe`, ring, vantage: 'outside', title: 'tries', references: ['CWE-1'] },
    },
    verdict: { kind, why: `it ${kind}` },
    evidence: {
      control: undefined,
      observation: { kind: 'closed' },
      requestId: kind === 'failed' ? 'r-1' : '',
      record: undefined,
      sent: 'GET / HTTP/1.1\r\nHost: shop.test\r\n',
      received,
      durationMs: 1,
      replay: `ringwall prove --only ${ring}/probe@${service}`,
      byHand: `curl https://${service}/`,
    },
  };
}

const NOW_MS = 1_790_000_000_000;
const HOUR_MS = 3_600_000;

/** @param aimed how many attacks the model gives for each cell that has any */
function draw(results: readonly ShotResult[], network: Proof['network'] = ENFORCED, aimed = 1) {
  const known = results.map(result => lastOf(result, NOW_MS));
  const all = results.flatMap(({ shot }) => Array.from({ length: aimed }, () => shot));
  return drawMatrix({ model, network, results: known, aimed: all });
}

function stateOf(results: readonly ShotResult[], service: string, ring: Ring, network = ENFORCED) {
  return draw(results, network)[service]?.[ring].state;
}

test('drawMatrix() is green only where every attack held', () => {
  const held = result('authorization', 'front', 'held');
  assert.equal(stateOf([held], 'front', 'authorization'), 'proven');
  assert.equal(
    stateOf([held, result('authorization', 'front', 'inconclusive')], 'front', 'authorization'),
    'unknown',
  );
  assert.equal(
    stateOf([held, result('authorization', 'front', 'failed')], 'front', 'authorization'),
    'broken',
  );
  assert.equal(
    stateOf(
      [result('authorization', 'front', 'inconclusive'), result('authorization', 'front', 'failed')],
      'front',
      'authorization',
    ),
    'broken',
  );
});

test('drawMatrix() is not green where some of the attacks were not made', () => {
  const cell = draw([result('authorization', 'front', 'held')], ENFORCED, 2)['front']?.authorization;
  assert.equal(cell?.state, 'declared');
  assert.match(cell.why, /held against 1 of 2 attacks/);
  const failed = draw([result('authorization', 'front', 'failed')], ENFORCED, 2);
  assert.equal(failed['front']?.authorization.state, 'broken');
});

test('drawMatrix() counts a result for its own service and ring only', () => {
  const results = [result('authorization', 'front', 'held')];
  assert.equal(stateOf(results, 'constructor', 'authorization'), 'declared');
  assert.equal(stateOf(results, 'front', 'vetting'), 'declared');
});

test('drawMatrix() says where the evidence is, and how old the oldest of it', () => {
  const shots = ['a', 'b'].map(at => result('edge', 'front', 'held', at));
  const results = shots.map((shot, at) => lastOf(shot, NOW_MS - at * HOUR_MS));
  const aimed = shots.map(({ shot }) => shot);
  const cell = drawMatrix({ model, network: ENFORCED, results, aimed })['front']?.edge;
  assert.deepEqual(cell, {
    state: 'proven',
    why: '2 attacks, all held',
    sinceMs: NOW_MS - HOUR_MS,
    proofs: ['2026-09-21T131320-000Z.json', '2026-09-21T141320-000Z.json'],
  });
  assert.equal(draw([])['front']?.edge.sinceMs, null);
});

test('drawMatrix() says what is missing, where the classification asks for it', () => {
  assert.equal(draw([], OPEN)['front']?.network.state, 'missing');
  assert.equal(draw([], OPEN)['front']?.network.why, 'no privileges');
  assert.equal(stateOf([], 'constructor', 'supply'), 'missing');
  assert.equal(stateOf([], 'front', 'supply'), '-');
  assert.equal(stateOf([], 'constructor', 'edge'), '-');
  assert.equal(stateOf([], 'front', 'edge'), 'declared');
});

function proofOf(results: readonly ShotResult[], earlier: readonly LastResult[] = []): Proof {
  const known = [...results.map(made => lastOf(made, NOW_MS)), ...earlier];
  const aimed = [
    ...results.map(({ shot }) => shot),
    ...earlier.map(({ service, ring }) => result(ring, service, 'held').shot),
  ];
  return {
    version: 2,
    system: 'shop',
    model: 'sha256:00',
    startedMs: NOW_MS,
    durationMs: 12_345,
    network: ENFORCED,
    results,
    earlier,
    matrix: drawMatrix({ model, network: ENFORCED, results: known, aimed }),
  };
}

test('formatProof() says how old a cell is that rests on an earlier proof, and where a hole was seen', () => {
  const earlier = [
    lastOf(result('edge', 'front', 'held'), NOW_MS - 3 * HOUR_MS),
    lastOf(result('rate', 'front', 'failed'), NOW_MS - 5 * 60_000),
  ];
  const text = formatProof(proofOf([result('vetting', 'front', 'held')], earlier));
  assert.match(text, /^front +proven 3h +declared +declared +broken 5m +proven +declared /m);
  assert.match(
    text,
    /^broken: rate at front: 1 of 1 attacks got through \(proofs\/2026-09-21T140820-000Z\.json\)$/m,
  );
  assert.match(text, /^1 attacks of 1 kinds in 12 s: 1 held, 0 failed, 0 inconclusive$/m);
});

test('formatProof() shows the matrix, what failed with its evidence, and the counts', () => {
  const text = formatProof(
    proofOf([
      result('edge', 'front', 'held'),
      result('vetting', 'front', 'failed', 'HTTP/1.1 200 OK\r\n'),
      result('rate', 'front', 'inconclusive'),
    ]),
  );
  assert.match(text, /^front {8}proven +declared +declared +unknown +broken /m);
  assert.match(
    text,
    /FAILED vetting\/probe@front\n {2}outside: tries \(CWE-1\)\n {2}at front: GET \/\n {2}it failed/,
  );
  assert.match(text, /request r-1, not in the ledger/);
  assert.match(text, /received {2}HTTP\/1\.1 200 OK/);
  assert.match(text, /replay {4}ringwall prove --only vetting\/probe@front/);
  assert.match(text, /by hand {3}curl https:\/\/front\//);
  assert.match(text, /INCONCLUSIVE rate\/probe@front\n {2}it inconclusive/);
  assert.match(text, /missing: data, supply, detection at constructor: /);
  assert.match(text, /^3 attacks of 3 kinds in 12 s: 1 held, 1 failed, 1 inconclusive$/m);
});

test('formatProof() lets nothing that came over the wire steer the terminal', () => {
  const text = formatProof(proofOf([result('vetting', 'front', 'failed', '\u001b[2J\u009bHELD\r')]));
  assert.ok(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text));
  assert.match(text, /received {2}\\x1b\[2J\\x9bHELD/);
});
