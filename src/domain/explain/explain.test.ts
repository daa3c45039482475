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
    egress: [https://bank.example, "https://bank.example:8443"]
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

for (const url of [
  'https://bank.example',
  'https://bank.example/any/path?q=1',
  'HTTPS://BANK.example:443',
  'https://bank.example:8443/x',
]) {
  test(`explain() allows payment → ${url} by its line of egress`, () => {
    const answer = ask('payment', url, 'DELETE', '/x');
    assert.ok(answer.kind === 'allowed', JSON.stringify(answer));
    assert.equal(answer.by.at.line, 32);
    assert.equal(answer.by.rule, url.includes('8443') ? 'egress/payment/1' : 'egress/payment/0');
  });
}

for (const [caller, url, rule, difference] of [
  ['checkout', 'https://bank.example', 'egress/payment/0', 'it is for payment, not checkout'],
  ['outside', 'https://bank.example', 'egress/payment/0', 'it is for payment, not outside'],
  ['payment', 'https://bank.example:9443', 'egress/payment/0', 'it leads to https://bank.example'],
  ['payment', 'http://bank.example', 'egress/payment/0', 'it leads to https://bank.example'],
  ['payment', 'https://bank.example.evil.test', 'egress/payment/0', 'it leads to https://bank.example'],
  ['payment', 'ftp://bank.example', 'egress/payment/0', 'it leads to https://bank.example'],
  ['checkout', 'https://bank.example:8443', 'egress/payment/1', 'it is for payment, not checkout'],
] as const) {
  test(`explain() refuses ${caller} → ${url} and names the nearest line of egress`, () => {
    const answer = ask(caller, url, 'GET');
    assert.ok(answer.kind === 'refused', JSON.stringify(answer));
    assert.equal(answer.reason, 'no-such-call');
    assert.deepEqual([answer.nearest?.rule.rule, answer.nearest?.difference], [rule, difference]);
  });
}

test('explain() of a URL refuses ambiguous paths and what is no URL, and knows its caller', () => {
  assert.equal(
    (ask('payment', 'https://bank.example', 'GET', '/a/../b') as { reason?: string }).reason,
    'ambiguous-path',
  );
  assert.equal(ask('payment', 'https://', 'GET').kind, 'unknown-name');
  assert.equal(ask('nobody', 'https://bank.example', 'GET').kind, 'unknown-name');
  const near = ask('payment', 'bank.example', 'GET');
  assert.ok(near.kind === 'unknown-name' && near.known.includes('https://bank.example'));
});

test('explain() names nothing nearest where no service reaches anything outside', () => {
  const sealed = parseModel({
    file: 'x.yaml',
    text: TEXT.replace(/ +egress: .*\n/, ''),
    directory: '/',
  });
  assert.ok(sealed.kind === 'model');
  const question = { caller: 'payment', callee: 'https://bank.example', method: 'GET', path: '/' };
  const answer = explain(sealed.model, question);
  assert.ok(answer.kind === 'refused' && answer.nearest === undefined);
});

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
