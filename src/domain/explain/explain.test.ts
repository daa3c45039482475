import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain, findRule, type Explanation } from '#domain/explain';
import { parseModel, type Model } from '#domain/model';

const TEXT = `apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
users:
  issuers:
    - { name: shop, issuer: local, audience: shop }
edge:
  hosts:
    shop.test:
      - { path: /, methods: [GET], to: frontend, clients: [anonymous], limits: [20/s burst 40 per client] }
      - { path: /cart/**, methods: [GET, POST], to: frontend, clients: [user], scopes: [cart], limits: [10/s per user] }
services:
  frontend:
    data: internal
    listen: http 8080
    calls:
      catalog: [GET /products, GET /products/*]
      checkout: [POST /orders]
  catalog:
    data: internal
    listen: http 8081
    calls:
      db: [connect]
  checkout:
    data: confidential
    listen: http 8082
    calls:
      payment: [POST /charges]
  payment:
    data: restricted
    listen: http 8083
  db:
    data: internal
    listen: tcp 5432
`;

const parsed = parseModel({ file: 'ringwall.yaml', text: TEXT, directory: '/' });
const model: Model = parsed.kind === 'model' ? parsed.model : assert.fail(JSON.stringify(parsed));

function ask(caller: string, callee: string, method: string, path = '/'): Explanation {
  return explain(model, { caller, callee, method, path });
}

const allowed: [string, string, string, string, number][] = [
  ['frontend', 'catalog', 'GET', '/products/7', 17],
  ['frontend', 'catalog', 'get', '/%70roducts', 17],
  ['checkout', 'payment', 'POST', '/charges', 28],
  ['catalog', 'db', 'connect', '/', 23],
  ['outside', 'frontend', 'GET', '/', 10],
  ['outside', 'shop.test', 'POST', '/cart/add', 11],
  ['outside', 'SHOP.test', 'POST', '/cart', 11],
];
for (const [caller, callee, method, path, line] of allowed) {
  test(`explain() allows ${caller} → ${callee} ${method} ${path} by line ${line}`, () => {
    const answer = ask(caller, callee, method, path);
    assert.equal(answer.kind === 'allowed' && answer.by.at.line, line);
  });
}

test('explain() lists the conditions of a route', () => {
  const answer = ask('outside', 'shop.test', 'POST', '/cart/add');
  assert.deepEqual(answer.kind === 'allowed' && answer.conditions, [
    'only a signed-in user',
    'with scope cart',
    'at most 10/s per user',
  ]);
});

const refused: [string, string, string, string, string, number | undefined, RegExp][] = [
  ['frontend', 'catalog', 'POST', '/products', 'no-such-call', 17, /allows GET, not POST/],
  ['frontend', 'catalog', 'GET', '/product', 'no-such-call', 17, /its path is \/products/],
  ['catalog', 'payment', 'POST', '/charges', 'no-such-call', 28, /it is for checkout, not catalog/],
  ['frontend', 'payment', 'POST', '/charges', 'no-such-call', 28, /it is for checkout/],
  ['outside', 'payment', 'POST', '/charges', 'no-route', 28, /it is for checkout, not outside/],
  ['payment', 'frontend', 'GET', '/', 'no-such-call', 10, /it is for outside, not payment/],
  ['outside', 'shop.test', 'DELETE', '/cart/x', 'method-not-allowed', 11, /allows GET, POST, not DELETE/],
  ['outside', 'shop.test', 'GET', '/admin', 'no-route', 10, /its path is \//],
  ['catalog', 'db', 'GET', '/', 'no-such-call', 23, /allows connect, not GET/],
  ['frontend', 'db', 'connect', '/', 'no-such-call', 23, /it is for catalog/],
];
for (const [caller, callee, method, path, reason, line, difference] of refused) {
  test(`explain() refuses ${caller} → ${callee} ${method} ${path} and names the nearest rule`, () => {
    const answer = ask(caller, callee, method, path);
    assert.ok(answer.kind === 'refused', JSON.stringify(answer));
    assert.equal(answer.reason, reason);
    assert.equal(answer.nearest?.rule.at.line, line);
    assert.match(answer.nearest?.difference ?? '', difference);
  });
}

test('explain() refuses a path with two readings before it looks at rules', () => {
  for (const path of ['/products/../charges', '/products%2f7', '//products', 'products']) {
    const answer = ask('frontend', 'catalog', 'GET', path);
    assert.equal(answer.kind === 'refused' && answer.reason, 'ambiguous-path');
  }
});

test('explain() knows no names but those of the model', () => {
  for (const [caller, callee] of [
    ['fronted', 'catalog'],
    ['frontend', 'shop.test'],
    ['frontend', 'constructor'],
    ['outside', 'evil.test'],
  ] as const) {
    assert.equal(ask(caller, callee, 'GET').kind, 'unknown-name');
  }
});

test('findRule() finds every rule by its name, and no other', () => {
  assert.equal(findRule(model, 'edge/shop.test/1')?.at.line, 11);
  assert.equal(findRule(model, 'calls/checkout/payment/0')?.at.line, 28);
  assert.equal(findRule(model, 'calls/catalog/db/0')?.path, undefined);
  for (const name of ['', 'edge/shop.test/2', 'calls/checkout/payment', 'constructor']) {
    assert.equal(findRule(model, name), undefined);
  }
});
