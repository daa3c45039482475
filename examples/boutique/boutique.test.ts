import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseModel } from '#domain/model';
import {
  ask,
  closeShop,
  dataFile,
  faults,
  here,
  openShop,
  rows,
  seen,
  SERVICES,
  stop,
  type Ask,
  type Name,
} from './boutique-fixture.ts';

before(openShop);
after(closeShop);

test('the shop goes from the list of products to an order', async () => {
  const list = await ask('frontend', 'GET', '/');
  assert.equal(list.status, 200);
  assert.match(list.text, /<a href="\/products\/mug">/);
  const product = await ask('frontend', 'GET', '/products/notebook');
  assert.match(product.text, /take ink well &amp; lie flat/);
  assert.match(product.text, /€ 14\.90/);

  const signedIn = await ask('accounts', 'POST', '/login', {
    json: { name: 'Alice', password: 'wonderland' },
  });
  assert.equal(signedIn.status, 200);
  assert.deepEqual(signedIn.body, {
    name: 'alice',
    access_token: 'token-of-alice',
    token_type: 'Bearer',
    expires_in: 600,
  });

  await ask('cart', 'POST', '/cart/items', { user: 'alice', json: { product: 'mug', quantity: 2 } });
  await ask('cart', 'POST', '/cart/items', { user: 'alice', json: { product: 'soap', quantity: 1 } });
  const more = await ask('cart', 'POST', '/cart/items', {
    user: 'alice',
    json: { product: 'mug', quantity: 1 },
  });
  assert.equal(more.status, 201);
  const changed = await ask('cart', 'PUT', '/cart/items/mug', { user: 'alice', json: { quantity: 2 } });
  assert.equal(changed.body['cents'], 2 * 1850 + 950);
  assert.deepEqual((await ask('cart', 'GET', '/cart', { user: 'bob' })).body, { lines: [], cents: 0 });

  const requestId = '6f0c6d0e-7d3c-4c5e-9e7b-0d8a4f6f2b11';
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const placed = await ask('checkout', 'POST', '/orders', {
    user: 'alice',
    json: ORDER,
    headers: { 'x-request-id': requestId, traceparent },
  });
  assert.equal(placed.status, 201, placed.text);
  assert.equal(placed.body['cents'], 2 * 1850 + 950 + 490 + 2 * 60);
  assert.equal(placed.body['last4'], '4242');
  assert.match(String(placed.body['tracking']), /^BQ[0-9A-F]{12}$/);

  const called = seen
    .filter(call => call.requestId === requestId && call.traceparent === traceparent)
    .map(call => call.service);
  assert.deepEqual([...new Set(called)].sort(), [
    'accounts',
    'cart',
    'catalog',
    'checkout',
    'mail',
    'payment',
    'shipping',
  ]);

  const order = await ask('checkout', 'GET', `/orders/${String(placed.body['id'])}`, { user: 'alice' });
  assert.deepEqual(order.body, placed.body);
  assert.deepEqual((await ask('cart', 'GET', '/cart', { user: 'alice' })).body['lines'], []);
  assert.equal(
    (await ask('checkout', 'GET', `/orders/${String(placed.body['id'])}`, { user: 'bob' })).status,
    404,
  );
  assert.deepEqual(rows('mail', 'SELECT recipient FROM outbox'), [{ recipient: 'alice@example.test' }]);
});

test('payment keeps no card number, accounts keep no password', () => {
  for (const [name, secret] of [
    ['payment', '4242424242424242'],
    ['checkout', '42424242'],
    ['accounts', 'wonderland'],
  ] as const) {
    for (const file of [`${name}.sqlite`, `${name}.sqlite-wal`]) {
      assert.equal(readFileSync(dataFile(file)).includes(secret), false, `${secret} is in ${file}`);
    }
  }
});

const ORDER = { recipient: 'Alice L.', address: 'Rabbit Hole 1', card: '4242 4242 4242 4242' };

test('a declined card leaves the cart as it was, and no order', async () => {
  await ask('cart', 'POST', '/cart/items', { user: 'bob', json: { product: 'lamp', quantity: 1 } });
  const declined = await ask('checkout', 'POST', '/orders', {
    user: 'bob',
    json: { ...ORDER, card: '4000 0000 0000 0002' },
  });
  assert.equal(declined.status, 402);
  assert.equal(declined.type, 'application/problem+json');
  assert.equal(declined.body['title'], 'card-declined');
  assert.equal((await ask('cart', 'GET', '/cart', { user: 'bob' })).body['cents'], 8900);
  assert.deepEqual((await ask('checkout', 'GET', '/orders', { user: 'bob' })).body, { orders: [] });
  assert.equal((await ask('cart', 'DELETE', '/cart/items/lamp', { user: 'bob' })).body['cents'], 0);
});

test('one order is charged once, however often it is asked for', async () => {
  const charge = { order: 'again', cents: 100, card: '4242424242424242' };
  const first = await ask('payment', 'POST', '/charges', { json: charge });
  const second = await ask('payment', 'POST', '/charges', { json: charge });
  assert.deepEqual([first.status, second.status], [201, 200]);
  assert.equal(second.body['id'], first.body['id']);
  const refunded = await ask('payment', 'POST', `/charges/${String(first.body['id'])}/refund`);
  assert.equal(refunded.status, 200);
});

test('without shipping the charge is refunded, and the order is not placed', async () => {
  await ask('cart', 'POST', '/cart/items', { user: 'carol', json: { product: 'soap', quantity: 1 } });
  const tooLong = await ask('checkout', 'POST', '/orders', {
    user: 'carol',
    json: { ...ORDER, address: ' '.repeat(400) },
  });
  assert.equal(tooLong.status, 400);
  faults.shipments = true;
  const refused = await ask('checkout', 'POST', '/orders', { user: 'carol', json: ORDER });
  faults.shipments = false;
  assert.equal(refused.status, 502);
  assert.deepEqual(
    rows('payment', "SELECT refunded FROM charges WHERE orderId <> 'again' AND cents = 1440"),
    [{ refunded: 1 }],
  );
  assert.deepEqual((await ask('checkout', 'GET', '/orders', { user: 'carol' })).body, { orders: [] });
});

const REFUSED: readonly {
  what: string;
  service: Name;
  method: string;
  path: string;
  ask?: Ask;
  status: number;
}[] = [
  {
    what: 'a wrong password',
    service: 'accounts',
    method: 'POST',
    path: '/login',
    ask: { json: { name: 'alice', password: 'x' } },
    status: 401,
  },
  {
    what: 'an unknown name',
    service: 'accounts',
    method: 'POST',
    path: '/login',
    ask: { json: { name: 'mallory', password: 'x' } },
    status: 401,
  },
  {
    what: 'a login without password',
    service: 'accounts',
    method: 'POST',
    path: '/login',
    ask: { json: { name: 'alice' } },
    status: 400,
  },
  {
    what: 'a login with a list for a name',
    service: 'accounts',
    method: 'POST',
    path: '/login',
    ask: { json: { name: ['alice'], password: 'x' } },
    status: 400,
  },
  {
    what: 'a login form',
    service: 'accounts',
    method: 'POST',
    path: '/login',
    ask: { raw: 'name=a', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    status: 415,
  },
  { what: 'a cart of nobody', service: 'cart', method: 'GET', path: '/cart', status: 401 },
  {
    what: 'an order of nobody',
    service: 'checkout',
    method: 'POST',
    path: '/orders',
    ask: { json: ORDER },
    status: 401,
  },
  {
    what: 'an order from an empty cart',
    service: 'checkout',
    method: 'POST',
    path: '/orders',
    ask: { user: 'dave', json: ORDER },
    status: 409,
  },
  {
    what: 'an order without address',
    service: 'checkout',
    method: 'POST',
    path: '/orders',
    ask: { user: 'dave', json: { ...ORDER, address: '' } },
    status: 400,
  },
  {
    what: 'an unknown product',
    service: 'cart',
    method: 'POST',
    path: '/cart/items',
    ask: { user: 'dave', json: { product: 'yacht', quantity: 1 } },
    status: 404,
  },
  {
    what: 'a product that is a path',
    service: 'cart',
    method: 'POST',
    path: '/cart/items',
    ask: { user: 'dave', json: { product: '../x', quantity: 1 } },
    status: 404,
  },
  {
    what: 'no quantity at all',
    service: 'cart',
    method: 'POST',
    path: '/cart/items',
    ask: { user: 'dave', json: { product: 'mug', quantity: 0 } },
    status: 400,
  },
  {
    what: 'half a mug',
    service: 'cart',
    method: 'POST',
    path: '/cart/items',
    ask: { user: 'dave', json: { product: 'mug', quantity: 0.5 } },
    status: 400,
  },
  {
    what: 'a change of what is not in the cart',
    service: 'cart',
    method: 'PUT',
    path: '/cart/items/mug',
    ask: { user: 'dave', json: { quantity: 1 } },
    status: 404,
  },
  {
    what: 'broken JSON',
    service: 'cart',
    method: 'POST',
    path: '/cart/items',
    ask: { user: 'dave', raw: '{' },
    status: 400,
  },
  {
    what: 'a JSON list',
    service: 'cart',
    method: 'POST',
    path: '/cart/items',
    ask: { user: 'dave', raw: '[]' },
    status: 400,
  },
  {
    what: 'a body of 100 KiB',
    service: 'cart',
    method: 'POST',
    path: '/cart/items',
    ask: { user: 'dave', raw: JSON.stringify('x'.repeat(100_000)) },
    status: 413,
  },
  {
    what: 'a card that fails its own check digit',
    service: 'payment',
    method: 'POST',
    path: '/charges',
    ask: { json: { order: 'o', cents: 1, card: '4242424242424241' } },
    status: 400,
  },
  {
    what: 'a charge below nothing',
    service: 'payment',
    method: 'POST',
    path: '/charges',
    ask: { json: { order: 'o', cents: -5, card: '4242424242424242' } },
    status: 400,
  },
  {
    what: 'a refund of nothing',
    service: 'payment',
    method: 'POST',
    path: '/charges/none/refund',
    status: 404,
  },
  {
    what: 'mail to two',
    service: 'mail',
    method: 'POST',
    path: '/messages',
    ask: { json: { to: 'a@b.test,c@d.test', subject: 's', text: 't' } },
    status: 400,
  },
  {
    what: 'a page of a product that is not there',
    service: 'frontend',
    method: 'GET',
    path: '/products/none',
    status: 404,
  },
  {
    what: 'an asset outside of the folder',
    service: 'frontend',
    method: 'GET',
    path: '/assets/__proto__',
    status: 404,
  },
  { what: 'a path of nobody', service: 'catalog', method: 'GET', path: '/nothing', status: 404 },
  { what: 'a badly encoded path', service: 'catalog', method: 'GET', path: '/products/%ff', status: 400 },
  {
    what: 'a method that is not for this path',
    service: 'catalog',
    method: 'DELETE',
    path: '/products',
    status: 405,
  },
];
for (const { what, service, method, path, ask: details, status } of REFUSED) {
  test(`${service} answers ${status} to ${what}`, async () => {
    const answer = await ask(service, method, path, details);
    assert.equal(answer.status, status, answer.text);
    if (!path.startsWith('/products/none')) assert.equal(answer.type, 'application/problem+json');
  });
}

test('a login that knows no issuer credentials gets no token', async () => {
  faults.issuer = true;
  const answer = await ask('accounts', 'POST', '/login', { json: { name: 'bob', password: 'builder' } });
  faults.issuer = false;
  assert.equal(answer.status, 502);
});

test('pages carry a policy that admits no inline script, and the script makes no markup of texts', async () => {
  for (const path of ['/', '/login', '/basket', '/receipt', '/products/mug']) {
    const page = await ask('frontend', 'GET', path);
    assert.match(page.policy, /^default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.doesNotMatch(
      page.text,
      /<script(?! src="\/assets\/shop\.js" defer><)|\son\w+=|\sstyle=|javascript:/,
    );
  }
  const script = (await ask('frontend', 'GET', '/assets/shop.js')).text;
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
  assert.equal((await ask('frontend', 'HEAD', '/')).text, '');
});

test('every service says that it is well, and ends on SIGTERM', async () => {
  for (const name of SERVICES) assert.equal((await ask(name, 'GET', '/healthz')).status, 200);
  assert.equal(await stop('mail'), 0);
});

test('the model of the shop holds, and its services run', () => {
  const text = readFileSync(join(here, 'ringwall.yaml'), 'utf8');
  const parsed = parseModel({ file: 'ringwall.yaml', text, directory: here });
  assert.deepEqual(parsed.kind === 'invalid' ? parsed.problems : [], []);
  assert.ok(parsed.kind === 'model');
  assert.deepEqual([...parsed.model.services.keys()].sort(), [...SERVICES].sort());
  for (const service of parsed.model.services.values())
    assert.deepEqual(service.run?.command, ['node', `services/${service.name}.ts`]);
  assert.equal(parsed.model.services.get('payment')?.data, 'restricted');
});
