import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModel, type Model } from '#domain/model';
import type { Ring } from '#domain/rings';
import { formatProof } from './format-proof.ts';
import { drawMatrix } from './matrix.ts';
import type { Proof, ShotResult } from './proof.ts';

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
      replay: `npx ringwall prove --only ${ring}/probe@${service}`,
    },
  };
}

function stateOf(
  results: readonly ShotResult[],
  service: string,
  ring: Ring,
  network: Proof['network'] = ENFORCED,
) {
  return drawMatrix(model, network, results)[service]?.[ring].state;
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

test('drawMatrix() counts a result for its own service and ring only', () => {
  const results = [result('authorization', 'front', 'held')];
  assert.equal(stateOf(results, 'constructor', 'authorization'), 'declared');
  assert.equal(stateOf(results, 'front', 'vetting'), 'declared');
});

test('drawMatrix() says what is missing, where the classification asks for it', () => {
  assert.equal(stateOf([], 'front', 'network', OPEN), 'missing');
  assert.equal(drawMatrix(model, OPEN, [])['front']?.network.why, 'no privileges');
  assert.equal(stateOf([], 'constructor', 'supply'), 'missing');
  assert.equal(stateOf([], 'front', 'supply'), '-');
  assert.equal(stateOf([], 'constructor', 'edge'), '-');
  assert.equal(stateOf([], 'front', 'edge'), 'declared');
});

function proofOf(results: readonly ShotResult[]): Proof {
  return {
    version: 1,
    system: 'shop',
    model: 'sha256:00',
    startedMs: 0,
    durationMs: 12_345,
    network: ENFORCED,
    results,
    matrix: drawMatrix(model, ENFORCED, results),
  };
}

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
  assert.match(text, /replay {4}npx ringwall prove --only vetting\/probe@front/);
  assert.match(text, /INCONCLUSIVE rate\/probe@front\n {2}it inconclusive/);
  assert.match(text, /missing: data, supply, detection at constructor: /);
  assert.match(text, /^3 attacks of 3 kinds in 12 s: 1 held, 1 failed, 1 inconclusive$/m);
});

test('formatProof() lets nothing that came over the wire steer the terminal', () => {
  const text = formatProof(proofOf([result('vetting', 'front', 'failed', '\u001b[2J\u009bHELD\r')]));
  assert.ok(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text));
  assert.match(text, /received {2}\\x1b\[2J\\x9bHELD/);
});
