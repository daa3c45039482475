import assert from 'node:assert/strict';
import { connect } from 'node:tls';
import { test, type TestContext } from 'node:test';
import { edgeRoute, httpCall, LabSystem, RawClient, type LabOptions } from '#service/lab';

const OK =
  'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: secret/1.0\r\nx-powered-by: php\r\nx-ringwall-user: forged\r\nkeep-alive: timeout=5\r\n\r\nok';

const routes = [
  edgeRoute({ path: '/', to: 'web' }),
  edgeRoute({
    path: '/cart/**',
    to: 'web',
    methods: ['GET', 'POST'],
    clients: ['user'],
    maxRequestBytes: 1000,
    maxResponseBytes: 2000,
  }),
  edgeRoute({ path: '/admin', to: 'web', clients: ['user'], scopes: ['admin'] }),
  edgeRoute({ path: '/robot', to: 'web', clients: ['application'] }),
  edgeRoute({
    path: '/limited',
    to: 'web',
    limits: [{ requests: 1, perMs: 60_000, burst: 2, per: 'client', text: '1/m burst 2 per client' }],
  }),
  edgeRoute({
    path: '/login',
    to: 'web',
    methods: ['POST'],
    lockout: {
      failures: 3,
      windowMs: 600_000,
      per: ['client', 'account'],
      accountField: 'name',
      text: '3 failures',
    },
  }),
];

async function setUp(t: TestContext, options: Partial<LabOptions> = {}) {
  const system = await LabSystem.start({ respond: c => c.answer(OK), routes, ...options });
  t.after(() => system.close());
  const client = await system.outside();
  t.after(() => client.close());
  return { system, client, backend: system.backend, journal: system.journal };
}

const bearer = (token: string) => `authorization: Bearer ${token}\r\n`;

test('a user with a valid token reaches the service, which is told who it is and gets no token', async t => {
  const { system, client, backend, journal } = await setUp(t);
  const token = await system.issuer.token({ sub: 'alice', scope: 'cart pay' });
  const answer = await client.get('/cart/1', bearer(token));
  assert.equal(answer.status, 200);
  const fields = backend.seen[0]?.fields ?? {};
  assert.equal(fields['x-ringwall-user'], 'alice');
  assert.equal(fields['x-ringwall-issuer'], system.issuer.url);
  assert.equal(fields['x-ringwall-scopes'], 'cart pay');
  assert.equal(fields['x-ringwall-caller'], 'spiffe://lab.test/ns/ringwall/sa/gateway');
  assert.equal(fields['x-forwarded-for'], '127.0.0.1');
  assert.equal(fields['x-forwarded-host'], 'shop.test');
  assert.equal(fields['authorization'], undefined);
  assert.equal(fields['x-request-id'], answer.fields['x-request-id']);
  const hops = journal.records.filter(({ requestId }) => requestId === answer.fields['x-request-id']);
  assert.deepEqual(
    hops.map(({ direction, decision, status }) => [direction, decision, status]),
    [
      ['inbound', 'allowed', 200],
      ['edge', 'allowed', 200],
    ],
  );
  assert.equal(hops[1]?.user, `${system.issuer.url}|alice`);
  assert.equal(hops[0]?.traceId, hops[1]?.traceId);
  assert.doesNotMatch(JSON.stringify(journal.records), new RegExp(token.slice(-20)));
});

test('answers lose what tells of the inside, and get the transport security of the edge', async t => {
  const { client } = await setUp(t);
  const { fields } = await client.get('/');
  for (const name of ['server', 'x-powered-by', 'x-ringwall-user', 'keep-alive'])
    assert.equal(fields[name], undefined, name);
  assert.equal(fields['strict-transport-security'], 'max-age=31536000');
});

test('a service cannot set the cookie of the anonymous id, neither in its answer nor before it', async t => {
  const cookies = [
    '__Host-ringwall-anon=evil; Path=/; Secure',
    ' __Host-ringwall-anon = evil; Path=/; Secure',
    '=__Host-ringwall-anon=evil; Path=/; Secure',
    'b=2; Path=/',
    '__Host-ringwall-anonymous=mine; Path=/; Secure',
  ];
  const fields = cookies.map(cookie => `set-cookie: ${cookie}\r\n`).join('');
  const { client } = await setUp(t, {
    respond: c =>
      c.answer(
        `HTTP/1.1 103 Early Hints\r\n${fields}\r\nHTTP/1.1 200 OK\r\n${fields}content-length: 0\r\n\r\n`,
      ),
  });
  client.send('GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n');
  const kept = ['set-cookie: b=2; Path=/', 'set-cookie: __Host-ringwall-anonymous=mine; Path=/; Secure'];
  const setCookies = (head: string) => head.split('\r\n').filter(line => line.startsWith('set-cookie:'));
  assert.deepEqual(setCookies((await client.answer()).head), kept);
  const answer = await client.answer();
  const token = answer.fields['x-ringwall-anonymous'] ?? '';
  const [ours, ...others] = setCookies(answer.head).reverse();
  assert.ok(ours?.startsWith(`set-cookie: __Host-ringwall-anon=${token}; Path=/`), ours);
  assert.deepEqual(others.reverse(), kept);
});

test('fields that only Ringwall sets never come through, in whatever spelling', async t => {
  const { client, backend } = await setUp(t);
  const forged = [
    'X-Ringwall-User',
    'X_Ringwall_User',
    'x-ringwall.user',
    'X-Forwarded-For',
    'x_forwarded_for',
    'Forwarded',
    'X-Request-Id',
    'Proxy',
    'X-Original-URL',
  ];
  const answer = await client.get('/', forged.map(name => `${name}: forged\r\n`).join(''));
  assert.equal(answer.status, 200);
  assert.doesNotMatch(backend.seen[0]?.head ?? 'forged', /forged/);
});

const refusals: readonly (readonly [
  name: string,
  path: string,
  fields: string,
  status: number,
  reason: string,
])[] = [
  ['an unknown path', '/nope', '', 404, 'no-route'],
  ['no credentials', '/cart/1', '', 401, 'credentials-missing'],
  ['Basic credentials', '/cart/1', 'authorization: Basic YTpi\r\n', 401, 'token-malformed'],
  ['a token that is none', '/cart/1', bearer('abc'), 401, 'token-malformed'],
  ['a bad token where nobody needs one', '/', bearer('abc'), 401, 'token-malformed'],
  ['an encoded slash', '/cart%2f1', '', 400, 'ambiguous-path'],
];
for (const [name, path, fields, status, reason] of refusals) {
  test(`${name}: ${status} ${reason}, and the service sees nothing`, async t => {
    const { client, backend, journal } = await setUp(t);
    const answer = await client.get(path, fields);
    assert.equal(answer.status, status);
    assert.equal(answer.fields['content-type'], 'application/problem+json');
    const problem = JSON.parse(answer.body) as { reason: string; requestId: string };
    assert.equal(problem.reason, reason);
    assert.equal(problem.requestId, answer.fields['x-request-id']);
    assert.equal(answer.fields['www-authenticate'] !== undefined, status === 401);
    assert.equal((await journal.find(r => r.requestId === problem.requestId)).reason, reason);
    assert.equal(backend.seen.length, 0);
    // The control: the way is open to those who may go it.
    assert.equal((await client.get('/')).status, 200);
    assert.equal(backend.seen.length, 1);
  });
}

test('a method that the route does not have: 405 with Allow', async t => {
  const { client } = await setUp(t);
  client.send('DELETE /cart/1 HTTP/1.1\r\nhost: shop.test\r\n\r\n');
  const answer = await client.answer();
  assert.equal(answer.status, 405);
  assert.equal(answer.fields['allow'], 'GET, POST');
});

test('a host that is not declared: 421; and one of ours on the connection of another', async t => {
  const { system, client } = await setUp(t);
  assert.equal((await client.get('/', '', 'evil.test')).status, 421);
  assert.equal((await client.get('/', '', 'other.test')).status, 421);
  const other = await system.outside({ servername: 'other.test' });
  assert.equal((await other.get('/', '', 'other.test')).status, 404);
  other.close();
});

test('an expired token, a missing scope and the wrong kind of client are told apart', async t => {
  const { system, client, backend } = await setUp(t);
  const { issuer } = system;
  const expired = await client.get('/cart/1', bearer(await issuer.token({ lifetimeS: -10 })));
  assert.equal((JSON.parse(expired.body) as { reason: string }).reason, 'token-expired');
  assert.equal(expired.fields['www-authenticate'], 'Bearer error="invalid_token"');
  const poor = await client.get('/admin', bearer(await issuer.token({ scope: 'cart' })));
  assert.equal(poor.status, 403);
  assert.equal(poor.fields['www-authenticate'], 'Bearer error="insufficient_scope", scope="admin"');
  assert.equal((await client.get('/robot', bearer(await issuer.token()))).status, 403);
  assert.equal(backend.seen.length, 0);
  assert.equal((await client.get('/admin', bearer(await issuer.token({ scope: 'cart admin' })))).status, 200);
  assert.equal(
    (await client.get('/robot', bearer(await issuer.token({ sub: 'bot', client_id: 'bot' })))).status,
    200,
  );
});

test('anonymous callers get an id of their own, which is recorded, kept and not shown to services as a credential', async t => {
  const { client, backend, journal } = await setUp(t);
  const first = await client.get('/');
  const token = first.fields['x-ringwall-anonymous'] ?? '';
  assert.match(first.fields['set-cookie'] ?? '', new RegExp(`^__Host-ringwall-anon=${token}; Path=/`));
  const second = await client.get('/', `cookie: a=b; __Host-ringwall-anon=${token}; c=d\r\n`);
  assert.equal(second.fields['set-cookie'], undefined);
  const third = await client.get('/', `x-ringwall-anonymous: ${token}\r\n`);
  assert.equal(third.fields['set-cookie'], undefined);
  const ids = journal.records.filter(r => r.direction === 'edge').map(r => r.client.id);
  assert.equal(new Set(ids).size, 1);
  assert.equal(backend.seen[1]?.fields['cookie'], 'a=b; c=d');
  assert.ok(backend.seen.every(({ head }) => !head.includes(token)));
  assert.equal(backend.seen[1]?.fields['x-ringwall-client'], `anonymous:${ids[0]}`);
});

test('limits count per caller, tell where he stands, and refuse with 429', async t => {
  const { client, backend } = await setUp(t);
  const first = await client.get('/limited');
  assert.match(first.fields['ratelimit'] ?? '', /^"client";r=1;t=\d+$/);
  const mine = `x-ringwall-anonymous: ${first.fields['x-ringwall-anonymous']}\r\n`;
  assert.equal((await client.get('/limited', mine)).status, 200);
  const third = await client.get('/limited', mine);
  assert.equal(third.status, 429);
  assert.ok(Number(third.fields['retry-after']) > 0);
  assert.match(third.fields['ratelimit-policy'] ?? '', /^"client";q=\d+;w=\d+$/);
  assert.equal(backend.seen.length, 2);
  // Another caller is not concerned.
  assert.equal((await client.get('/limited')).status, 200);
});

test('dropping the anonymous id does not help: together the callers of an address get ten times the limit', async t => {
  const { client } = await setUp(t);
  const statuses: number[] = [];
  for (let i = 0; i < 22; i++) statuses.push((await client.get('/limited')).status);
  assert.deepEqual(
    statuses.slice(0, 20),
    Array.from({ length: 20 }, () => 200),
  );
  assert.deepEqual(statuses.slice(20), [429, 429]);
});

test('failed sign-ins lock the account, whoever guesses', async t => {
  const { system, client, backend } = await setUp(t, {
    respond: c => c.answer(`HTTP/1.1 ${c.body.includes('right') ? 200 : 401} X\r\ncontent-length: 0\r\n\r\n`),
  });
  const signIn = async (name: string, password: string, from = client) => {
    const body = JSON.stringify({ name, password });
    from.send(
      `POST /login HTTP/1.1\r\nhost: shop.test\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    return from.answer();
  };
  assert.equal((await signIn('alice', 'right')).status, 200);
  for (let i = 0; i < 3; i++) assert.equal((await signIn('alice', `guess${i}`)).status, 401);
  const locked = await signIn('ALICE', 'right', await system.outside());
  assert.equal(locked.status, 429);
  assert.equal((JSON.parse(locked.body) as { reason: string }).reason, 'locked-out');
  assert.ok(Number(locked.fields['retry-after']) > 0);
  assert.equal((await signIn('bob', 'right')).status, 200);
  const seen = backend.seen.length;
  client.send(
    'POST /login HTTP/1.1\r\nhost: shop.test\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nalice',
  );
  assert.equal((await client.answer()).status, 400);
  assert.equal(backend.seen.length, seen);
});

test('a request above the size of its route: 413, by its length or by its chunks', async t => {
  const { system, client, backend } = await setUp(t);
  const token = await system.issuer.token();
  client.send(`POST /cart/1 HTTP/1.1\r\nhost: shop.test\r\n${bearer(token)}content-length: 1001\r\n\r\n`);
  assert.equal((await client.answer()).status, 413);
  await client.rest();
  const second = await system.outside();
  second.send(
    `POST /cart/1 HTTP/1.1\r\nhost: shop.test\r\n${bearer(token)}transfer-encoding: chunked\r\n\r\n3e9\r\n${'x'.repeat(1001)}\r\n`,
  );
  assert.equal((await second.answer()).status, 413);
  await second.rest();
  assert.equal(backend.seen.length, 0);
  const third = await system.outside();
  third.send(
    `POST /cart/1 HTTP/1.1\r\nhost: shop.test\r\n${bearer(token)}content-length: 1000\r\n\r\n${'x'.repeat(1000)}`,
  );
  assert.equal((await third.answer()).status, 200);
});

test('an answer above the size of its route: 502 by its length, cut short by its chunks', async t => {
  const { system, client, journal } = await setUp(t, {
    respond: c =>
      c.answer(
        c.target === '/cart/length'
          ? `HTTP/1.1 200 OK\r\ncontent-length: 2001\r\n\r\n${'x'.repeat(2001)}`
          : `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7d1\r\n${'x'.repeat(2001)}\r\n0\r\n\r\n`,
      ),
  });
  const token = bearer(await system.issuer.token());
  assert.equal((await client.get('/cart/length', token)).status, 502);
  const answer = await client.get('/cart/chunks', token).catch(() => undefined);
  assert.ok(answer === undefined || answer.status === 502);
  assert.equal(
    (await journal.find(r => r.direction === 'edge' && r.path === '/cart/chunks')).reason,
    'response-too-large',
  );
});

test('plaintext on the TLS port is closed and recorded', async t => {
  const { system, journal } = await setUp(t);
  const plain = await RawClient.tcp(system.gateway.port);
  plain.send('GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n');
  await plain.rest();
  assert.equal((await journal.find(r => r.reason === 'plaintext-refused')).direction, 'edge');
});

test('TLS below 1.2 is refused', async t => {
  const { system } = await setUp(t);
  await assert.rejects(
    new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port: system.gateway.port,
        maxVersion: 'TLSv1.1',
        minVersion: 'TLSv1',
        ciphers: 'ALL@SECLEVEL=0',
        rejectUnauthorized: false,
      });
      socket.once('secureConnect', resolve).once('error', reject);
    }),
  );
});

test('durable mode: the caller waits until the record is on disk', async t => {
  const { client, journal, backend } = await setUp(t, { record: 'durable' });
  journal.mode = 'hold';
  client.send('GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n');
  await journal.untilHeld(1);
  assert.equal(backend.seen.length, 1);
  assert.equal(client.received.length, 0);
  journal.release();
  await journal.untilHeld(1);
  assert.equal(client.received.length, 0);
  journal.release();
  assert.equal((await client.answer()).status, 200);
});

test('durable mode: no interim answer leaves before the record is on disk', async t => {
  const { client, journal } = await setUp(t, {
    record: 'durable',
    respond: c => c.answer(`HTTP/1.1 103 Early Hints\r\nx-leak: card=4111\r\n\r\n${OK}`),
  });
  journal.mode = 'hold';
  client.send('GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n');
  for (let hop = 0; hop < 2; hop++) {
    await journal.untilHeld(1);
    assert.equal(client.received.length, 0);
    journal.release();
  }
  assert.equal((await client.answer()).status, 200);
});

test('durable mode: of a long answer in chunks the last content waits until the record is on disk', async t => {
  const content = 'S'.repeat(70_000);
  const { client, journal } = await setUp(t, {
    record: 'durable',
    respond: c => {
      c.answer(
        `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${content.length.toString(16)}\r\n${content}\r\n`,
      );
      setTimeout(() => c.answer('0\r\n\r\n'), 50);
    },
  });
  journal.mode = 'hold';
  client.send('GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n');
  for (let hop = 0; hop < 2; hop++) {
    await journal.untilHeld(1);
    await new Promise(resolve => setTimeout(resolve, 50));
    const arrived = client.received.toString('latin1').split('S').length - 1;
    assert.ok(arrived < content.length, `${arrived} bytes`);
    journal.release();
  }
  assert.equal((await client.answer()).body, content);
});

test('durable mode: what cannot be recorded is answered with 503, and a sick journal lets nothing begin', async t => {
  const { client, journal, backend } = await setUp(t, { record: 'durable' });
  assert.equal((await client.get('/')).status, 200);
  journal.mode = 'fail';
  const answer = await client.get('/');
  assert.equal(answer.status, 503);
  assert.equal((JSON.parse(answer.body) as { reason: string }).reason, 'ledger-unavailable');
  const seen = backend.seen.length;
  journal.healthy = false;
  assert.equal((await client.get('/')).status, 503);
  assert.equal(backend.seen.length, seen);
});

test('relaxed mode goes on when the journal does not', async t => {
  const { client, journal } = await setUp(t);
  journal.healthy = false;
  journal.mode = 'fail';
  assert.equal((await client.get('/')).status, 200);
});

test('a new bundle decides on the next request of an open connection', async t => {
  const { system, client } = await setUp(t);
  assert.equal((await client.get('/')).status, 200);
  await system.applyGateway({
    hosts: [{ host: 'shop.test', routes: [edgeRoute({ path: '/new', to: 'web' })] }],
  });
  assert.equal((await client.get('/')).status, 404);
  await system.applyAgent(
    {},
    {
      callers: [
        {
          identity: 'spiffe://lab.test/ns/ringwall/sa/gateway',
          service: 'gateway',
          calls: [httpCall('GET', '/new')],
        },
      ],
    },
  );
  assert.equal((await client.get('/new')).status, 200);
});

test('a bundle that cannot be applied leaves the former in force', async t => {
  const { system, client } = await setUp(t);
  await assert.rejects(
    system.applyGateway({ listen: { host: '127.0.0.1', port: system.backend.address.port }, hosts: [] }),
    { code: 'EADDRINUSE' },
  );
  await assert.rejects(system.gateway.apply(system.agentBundle(), system.identities), {
    code: 'wrong-bundle',
  });
  assert.equal((await client.get('/')).status, 200);
});

test('certificates are exchanged without closing connections', async t => {
  const { system, client } = await setUp(t);
  assert.equal((await client.get('/')).status, 200);
  const before = system.identities.current('edge')?.serial;
  system.identities.held.set('edge', await system.authority.server(['shop.test']));
  system.identities.held.set(
    'spiffe://lab.test/ns/ringwall/sa/gateway',
    await system.authority.identity('spiffe://lab.test/ns/ringwall/sa/gateway'),
  );
  system.gateway.identitiesChanged();
  assert.equal((await client.get('/')).status, 200);
  const fresh = connect({
    host: '127.0.0.1',
    port: system.gateway.port,
    ca: [...system.authority.trustAnchors],
    servername: 'shop.test',
  });
  await new Promise<void>(resolve => fresh.once('secureConnect', resolve));
  const serial = fresh.getPeerX509Certificate()?.serialNumber.toLowerCase().replace(/^0+/, '');
  assert.notEqual(serial, before);
  assert.equal(serial, system.identities.current('edge')?.serial);
  fresh.destroy();
});

test('drain: requests in flight end, new connections are refused', async t => {
  const { system, client } = await setUp(t, { respond: c => setTimeout(() => c.answer(OK), 150) });
  client.send('GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n');
  await new Promise(resolve => setTimeout(resolve, 50));
  const drained = system.gateway.drain();
  await assert.rejects(system.outside());
  const answer = await client.answer();
  assert.equal(answer.status, 200);
  assert.equal(answer.fields['connection'], 'close');
  await drained;
});

test('/metrics counts by route, decision and reason, with no label that a caller can choose', async t => {
  const { system, client } = await setUp(t);
  await client.get('/');
  await client.get('/nope-chosen-by-caller');
  const metrics = await (await fetch(`http://127.0.0.1:${system.gateway.adminPort}/metrics`)).text();
  assert.match(
    metrics,
    /ringwall_transactions_total\{direction="edge",service="web",decision="allowed",reason="",status="2xx"\} 1/,
  );
  assert.match(
    metrics,
    /ringwall_transactions_total\{direction="edge",service="",decision="refused",reason="no-route",status="4xx"\} 1/,
  );
  assert.match(metrics, /ringwall_transaction_duration_seconds_count\{direction="edge",service="web"\} 1/);
  assert.doesNotMatch(metrics, /chosen/);
  const health = await fetch(`http://127.0.0.1:${system.gateway.adminPort}/healthz`);
  assert.equal(health.status, 200);
  system.journal.healthy = false;
  assert.equal((await fetch(`http://127.0.0.1:${system.gateway.adminPort}/healthz`)).status, 503);
});
