import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseModel, PROBLEM_CODES } from './index.ts';

type Declared = { data?: string; listen?: string; calls?: readonly string[]; more?: string };

const HEAD = 'apiVersion: ringwall.dev/v1\nsystem: shop\ntrustDomain: shop.internal\n';
const USERS = 'users: { issuers: [{ name: id, issuer: local, audience: shop }] }\n';
const LIMITS = 'limits: [1/s per client]';

function warningsOf(
  routes: readonly string[],
  services: Readonly<Record<string, Declared>>,
  users = '',
): string[] {
  const edge = `edge:\n  hosts:\n    shop.test:\n${routes.map(route => `      - ${route}\n`).join('')}`;
  const body = Object.entries(services).map(
    ([name, { data = 'internal', listen = 'http 80', calls = [], more = '' }]) => {
      const list = calls.map(call => (call.includes(':') ? call : `${call}: [GET /a]`)).join(', ');
      return `  ${name}: { data: ${data}, listen: ${listen}, calls: { ${list} }${more} }\n`;
    },
  );
  const text = `${HEAD}${users}${edge}services:\n${body.join('')}`;
  const parsed = parseModel({ file: 'm.yaml', text, directory: '/' });
  assert.equal(parsed.kind, 'model', JSON.stringify(parsed));
  for (const { severity } of parsed.warnings) assert.equal(severity, 'warning');
  return parsed.warnings.map(({ code, message }) => {
    seen.add(code);
    return `${code}: ${message}`;
  });
}
const seen = new Set<string>();

const toWeb = `{ path: /, methods: [GET], to: web, clients: [anonymous], ${LIMITS} }`;
const toWebForUsers = `{ path: /, methods: [GET], to: web, clients: [user], ${LIMITS} }`;

describe('parseModel() warns of', () => {
  test('nothing in a plain model', () => {
    assert.deepEqual(
      warningsOf([toWeb], {
        web: { calls: ['api'] },
        api: { calls: ['db: [connect]'] },
        db: { listen: 'tcp 1' },
      }),
      [],
    );
  });

  test('a service that nothing calls and no route reaches', () => {
    assert.deepEqual(warningsOf([toWeb], { web: {}, job: { calls: ['web'] } }), [
      'unreached-service: nothing calls `job` and no route reaches it',
    ]);
  });

  test('a cycle through a restricted service, and shows the shortest', () => {
    const services = {
      web: { calls: ['a'] },
      a: { calls: ['b', 'vault'] },
      b: { calls: ['c'] },
      c: { calls: ['vault'] },
      vault: { data: 'restricted', calls: ['b', 'd'] },
      d: { calls: ['a'] },
    };
    assert.deepEqual(warningsOf([toWebForUsers], services, USERS), [
      'restricted-cycle: calls run in a circle through `vault`: vault -> b -> c -> vault',
    ]);
  });

  test('each knot of services once', () => {
    const services = {
      web: { calls: ['a', 'c'] },
      a: { data: 'restricted', calls: ['b'] },
      b: { data: 'restricted', calls: ['a'] },
      c: { data: 'restricted', calls: ['d'] },
      d: { calls: ['c'] },
    };
    assert.deepEqual(
      warningsOf([toWebForUsers], services, USERS).map(text => text.slice(text.indexOf('through'))),
      ['through `a`: a -> b -> a', 'through `c`: c -> d -> c'],
    );
  });

  test('no cycle that leaves restricted services alone', () => {
    const services = { web: { calls: ['a', 'vault'] }, a: { calls: ['web'] }, vault: { data: 'restricted' } };
    assert.deepEqual(warningsOf([toWebForUsers], services, USERS), []);
  });

  test('a restricted service within reach of anonymous clients, by the shortest way', () => {
    const services = {
      web: { calls: ['checkout', 'long'] },
      long: { calls: ['longer'] },
      longer: { calls: ['payment'] },
      checkout: { calls: ['payment'] },
      payment: { data: 'restricted' },
    };
    assert.deepEqual(warningsOf([toWeb], services), [
      'anonymous-reach: `payment` is restricted, and anonymous clients reach it: outside -> web -> checkout -> payment (3 hops)',
    ]);
    assert.deepEqual(warningsOf([toWebForUsers], services, USERS), []);
  });

  test('a confidential service that a route opens to everybody, unless with a lockout', () => {
    const lockout = 'lockout: 5 failures in 10m per client';
    const services = { web: { data: 'confidential', calls: ['inner'] }, inner: { data: 'confidential' } };
    assert.deepEqual(warningsOf([toWeb], services), [
      'anonymous-reach: `web` is confidential, and anonymous clients reach it: outside -> web (1 hop)',
    ]);
    assert.deepEqual(warningsOf([toWeb.replace(LIMITS, `${LIMITS}, ${lockout}`)], services), []);
  });

  test('egress of a restricted service', () => {
    const services = { web: { data: 'restricted', more: ', egress: [https://a.example]' } };
    assert.deepEqual(warningsOf([toWebForUsers], services, USERS), [
      'restricted-egress: `web` is restricted, and may send to the outside',
    ]);
  });

  test('relaxed records of a confidential service', () => {
    const services = { web: { data: 'confidential', more: ', record: relaxed' } };
    assert.deepEqual(warningsOf([toWebForUsers], services, USERS), [
      'relaxed-record: `web` is confidential, but a crash may lose its last records',
    ]);
  });

  test('a call that opens all of a restricted service', () => {
    const services = { web: { calls: ['vault: [GET /**, POST /a/**]'] }, vault: { data: 'restricted' } };
    assert.deepEqual(warningsOf([toWebForUsers], services, USERS), [
      'broad-call: `web` may call every path of `vault`, which is restricted',
    ]);
  });

  test('limits left to the default, where it matters', () => {
    const bare = (to: string, clients: string): string =>
      `{ path: /${to}, methods: [GET], to: ${to}, clients: [${clients}] }`;
    const services = { web: {}, vault: { data: 'restricted' } };
    assert.deepEqual(warningsOf([bare('web', 'anonymous'), bare('vault', 'user')], services, USERS), [
      'default-limits: no limits are written: `5/s burst 10 per user` holds, by the classification of `vault`',
    ]);
    assert.equal(warningsOf([bare('web', 'user'), bare('vault', 'application')], services, USERS).length, 2);
  });

  test('clients beside anonymous', () => {
    assert.deepEqual(warningsOf([toWeb.replace('[anonymous]', '[user, anonymous]')], { web: {} }, USERS), [
      'redundant-client: `anonymous` admits everybody, signed in or not',
    ]);
  });

  test('issuers that nobody needs', () => {
    assert.deepEqual(warningsOf([toWeb], { web: {} }, USERS), [
      'unused-issuers: no route admits users, so this issuer is never asked',
    ]);
  });

  test('each kind of warning that there is', () => {
    const warnings = Object.entries(PROBLEM_CODES).filter(([, { severity }]) => severity === 'warning');
    seen.add('not-shown');
    assert.deepEqual(
      warnings.map(([code]) => code).filter(code => !seen.has(code)),
      [],
    );
  });

  test('a chain of 5,000 services without recursion', () => {
    const count = 5000;
    const services = Array.from(
      { length: count },
      (_, n) => `  s${n}: { data: restricted, listen: http 1, calls: { s${(n + 1) % count}: [GET /] } }\n`,
    );
    const edge =
      'edge: { hosts: { a.test: [{ path: /, methods: [GET], to: s0, clients: [anonymous], limits: [1/s per client] }] } }\n';
    const parsed = parseModel({
      file: 'm.yaml',
      text: `${HEAD}${edge}services:\n${services.join('')}`,
      directory: '/',
    });
    assert.equal(parsed.kind, 'model');
    const cycles = parsed.warnings.filter(({ code }) => code === 'restricted-cycle');
    assert.equal(cycles.length, 1);
    assert.ok((cycles[0]?.message.length ?? 0) < 300, 'a long way is shown by its ends');
    assert.equal(parsed.warnings.at(-1)?.code, 'not-shown');
  });
});
