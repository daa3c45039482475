import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModel, type Model } from '#domain/model';
import { planChange } from '#domain/plan';

const HEAD = `apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
users:
  issuers:
    - { name: shop, issuer: local, audience: shop }
`;

function model(routes: string[], calls: string, data = 'internal', extra = ''): Model {
  const text = `${HEAD}edge:
  hosts:
    shop.test:
${routes.map(route => `      - { ${route}, to: front }`).join('\n')}
services:
  front:
    data: ${data}
    listen: http 8080
    calls: { back: [${calls}] }
    ${extra}
  back:
    data: internal
    listen: http 8081
`;
  const parsed = parseModel({ file: 'ringwall.yaml', text, directory: '/' });
  return parsed.kind === 'model' ? parsed.model : assert.fail(JSON.stringify(parsed.problems));
}

const ROUTE = 'path: /, methods: [GET], clients: [anonymous], limits: [20/s burst 40 per client]';
const USER = 'path: /me, methods: [GET], clients: [user], scopes: [me], limits: [5/s per user]';
const plan = (before: Model, after: Model) =>
  planChange(before, after).map(({ kind, what }) => `${kind} ${what}`);

test('planChange() sees nothing in an equal model', () => {
  assert.deepEqual(plan(model([ROUTE], 'GET /a'), model([ROUTE], 'GET /a')), []);
});

const changes: [string, Model, Model, string[]][] = [
  ['a new call', model([ROUTE], 'GET /a'), model([ROUTE], 'GET /a, GET /b'), ['opens front → back: GET /b']],
  [
    'a call that is gone',
    model([ROUTE], 'GET /a, GET /b'),
    model([ROUTE], 'GET /a'),
    ['closes front → back: GET /b'],
  ],
  [
    'a narrower pattern inside a wider one',
    model([ROUTE], 'GET /a/**'),
    model([ROUTE], 'GET /a/**, GET /a/*'),
    [],
  ],
  [
    'a wider pattern',
    model([ROUTE], 'GET /a/*'),
    model([ROUTE], 'GET /a/**'),
    ['opens front → back: GET /a/**'],
  ],
  [
    'a narrower pattern in place of a wider one',
    model([ROUTE], 'GET /a/**'),
    model([ROUTE], 'GET /a/*'),
    ['closes front → back: GET /a/**'],
  ],
  [
    'egress',
    model([ROUTE], 'GET /a'),
    model([ROUTE], 'GET /a', 'internal', 'egress: [https://bank.example]'),
    ['opens front → https://bank.example: reach'],
  ],
  [
    'a route',
    model([ROUTE], 'GET /a'),
    model([ROUTE, USER], 'GET /a'),
    ['opens outside (shop.test) → front: GET /me'],
  ],
  [
    'clients and scopes',
    model([USER], 'GET /a'),
    model(
      [USER.replace('[user]', '[anonymous]').replace(' scopes: [me],', '').replace('per user', 'per client')],
      'GET /a',
    ),
    [
      'loosens shop.test/me: admits anonymous clients',
      'tightens shop.test/me: no longer admits user clients',
      'loosens shop.test/me: no longer asks for scope me',
      'loosens shop.test/me: limits 5/s per user → 5/s per client',
    ],
  ],
  [
    'a higher limit',
    model([ROUTE], 'GET /a'),
    model([ROUTE.replace('20/s', '30/s')], 'GET /a'),
    ['loosens shop.test/: limits 20/s burst 40 per client → 30/s burst 40 per client'],
  ],
  [
    'a lower limit',
    model([ROUTE], 'GET /a'),
    model([ROUTE.replace('20/s', '10/s')], 'GET /a'),
    ['tightens shop.test/: limits 20/s burst 40 per client → 10/s burst 40 per client'],
  ],
  [
    'data and records',
    model([ROUTE], 'GET /a', 'confidential'),
    model([ROUTE], 'GET /a', 'internal'),
    ['loosens front: data confidential → internal', 'loosens front: record durable → relaxed'],
  ],
];
for (const [what, before, after, expected] of changes) {
  test(`planChange() sees ${what}`, () => {
    const found = plan(before, after);
    for (const line of expected) assert.ok(found.includes(line), `${line}\nnot in\n${found.join('\n')}`);
    assert.equal(found.length >= expected.length, true);
    if (expected.length === 0) assert.deepEqual(found, []);
  });
}

test('planChange() tells routes of one path apart by their methods', () => {
  const get = 'path: /o, methods: [GET], clients: [anonymous], limits: [9/s burst 9 per client]';
  const post = 'path: /o, methods: [POST], clients: [anonymous], limits: [2/s burst 2 per client]';
  assert.deepEqual(plan(model([get, post], 'GET /a'), model([post, get], 'GET /a')), []);
  assert.deepEqual(plan(model([get, post], 'GET /a'), model([get, post.replace('2/s', '3/s')], 'GET /a')), [
    'loosens shop.test/o: limits 2/s burst 2 per client → 3/s burst 2 per client',
  ]);
});

test('planChange() is empty or mirrored when the models are swapped', () => {
  const before = model([ROUTE], 'GET /a, GET /b');
  const after = model([ROUTE, USER], 'GET /a');
  const mirror = { opens: 'closes', closes: 'opens', loosens: 'tightens', tightens: 'loosens' } as const;
  assert.deepEqual(
    planChange(after, before)
      .map(({ kind, what }) => `${mirror[kind]} ${what}`)
      .sort(),
    plan(before, after).sort(),
  );
});
