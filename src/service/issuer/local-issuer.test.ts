import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, mock, test } from 'node:test';
import { FakeClock } from '#base/clock';
import { hasCode } from '#base/error';
import { silentLog } from '#base/log';
import { generateSigningKey, LOCAL_USER_GRANT, startIssuer, type LocalIssuer } from '#service/issuer';
import { TokenVerifier, type TokenVerdict } from '#service/identity';

const clock = new FakeClock(Date.UTC(2027, 0, 1));
const said: unknown[] = [];
let issuer: LocalIssuer;

before(async () => {
  for (const method of ['log', 'info', 'warn', 'error'] as const) {
    mock.method(console, method, (...words: unknown[]) => said.push(words));
  }
  issuer = await startIssuer({
    port: 0,
    audience: 'boutique',
    clients: [{ clientId: 'accounts', clientSecret: 'a secret/with:odd+signs' }],
    signingKeys: [await generateSigningKey()],
    clock,
    log: silentLog,
  });
});
after(() => issuer.close());

function verifierFor(audience = 'boutique'): TokenVerifier {
  const issuers = [{ name: 'shop', issuer: issuer.issuer, audience, algorithm: 'ES256' as const }];
  return new TokenVerifier({ issuers, clock, log: silentLog });
}

async function askToken(
  form: Record<string, string>,
  credentials = 'accounts:a+secret%2Fwith%3Aodd%2Bsigns',
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${issuer.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(credentials)}` },
    body: new URLSearchParams(form),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

function reasonOf(verdict: TokenVerdict): string {
  return verdict.kind === 'refused' ? verdict.reason : 'verified';
}

test('issueToken() makes RFC 9068 tokens that the verifier accepts over HTTP', async () => {
  const { accessToken, expiresInSeconds } = await issuer.issueToken({
    user: 'alice',
    scopes: ['cart', 'orders'],
  });
  const verdict = await verifierFor().verify(accessToken);
  assert.ok(verdict.kind === 'verified');
  assert.equal(expiresInSeconds, 600);
  assert.deepEqual(
    { ...verdict.user, tokenId: '' },
    {
      issuer: issuer.issuer,
      subject: 'alice',
      clientId: 'ringwall',
      scopes: new Set(['cart', 'orders']),
      tokenId: '',
      expiresAtMs: clock.nowMs() + 600_000,
    },
  );
});

test('issueToken() can make a token that has expired, or is for another audience', async () => {
  const expired = await issuer.issueToken({ user: 'alice', scopes: [], lifetimeSeconds: -60 });
  const foreign = await issuer.issueToken({ user: 'alice', scopes: [], audience: 'bank' });
  assert.equal(reasonOf(await verifierFor().verify(expired.accessToken)), 'token-expired');
  assert.equal(reasonOf(await verifierFor().verify(foreign.accessToken)), 'token-invalid');
  assert.equal(reasonOf(await verifierFor('bank').verify(foreign.accessToken)), 'verified');
});

for (const user of ['', ' alice', 'alice\n', 'älice', 'a'.repeat(256)]) {
  test(`issueToken() refuses the user ${JSON.stringify(user.slice(0, 8))}`, async () => {
    await assert.rejects(issuer.issueToken({ user, scopes: [] }), error => hasCode(error, 'bad-user'));
  });
}

test('issueToken() refuses a scope with a space in it', async () => {
  await assert.rejects(issuer.issueToken({ user: 'alice', scopes: ['cart admin'] }), error =>
    hasCode(error, 'bad-scope'),
  );
});

test('the token endpoint signs users in for a confidential client', async () => {
  const { status, body } = await askToken({ grant_type: LOCAL_USER_GRANT, username: 'bob', scope: 'cart' });
  assert.equal(status, 200);
  assert.deepEqual(
    { ...body, access_token: '' },
    { access_token: '', token_type: 'Bearer', expires_in: 600, scope: 'cart' },
  );
  const verdict = await verifierFor().verify(String(body['access_token']));
  assert.ok(verdict.kind === 'verified');
  assert.equal(verdict.user.subject, 'bob');
  assert.equal(verdict.user.clientId, 'accounts');
});

const refusals = [
  {
    name: 'a wrong secret',
    form: { username: 'bob' },
    credentials: 'accounts:wrong',
    error: 'invalid_client',
  },
  {
    name: 'an unknown client',
    form: { username: 'bob' },
    credentials: 'frontend:x',
    error: 'invalid_client',
  },
  {
    name: 'its own client, which has no secret',
    form: { username: 'bob' },
    credentials: 'ringwall:x',
    error: 'invalid_client',
  },
  { name: 'no user name', form: {}, error: 'invalid_request' },
  { name: 'a user name with a newline', form: { username: 'bob\r\nx' }, error: 'invalid_request' },
  { name: 'a user named like a client', form: { username: 'accounts' }, error: 'invalid_request' },
  { name: 'a user named like the own client', form: { username: 'ringwall' }, error: 'invalid_request' },
  { name: 'a scope with a quote', form: { username: 'bob', scope: 'a"b' }, error: 'invalid_scope' },
  { name: 'another grant', form: { grant_type: 'client_credentials' }, error: 'unsupported_grant_type' },
] as const;
for (const { name, form, error, ...rest } of refusals) {
  test(`the token endpoint refuses ${name}`, async () => {
    const { status, body } = await askToken(
      { grant_type: LOCAL_USER_GRANT, ...form },
      'credentials' in rest ? rest.credentials : undefined,
    );
    assert.ok(status === 400 || status === 401, String(status));
    assert.equal(body['error'], error);
    assert.equal(body['access_token'], undefined);
  });
}

test('the token endpoint refuses the own client without secret', async () => {
  const form = { grant_type: LOCAL_USER_GRANT, username: 'bob', client_id: 'ringwall' };
  const response = await fetch(`${issuer.issuer}/token`, { method: 'POST', body: new URLSearchParams(form) });
  assert.equal(response.status, 400);
});

for (const path of ['/', '/auth', '/me', '/token/introspection', '/session/end', '/interaction/x']) {
  test(`the issuer has no ${path}`, async () => {
    const response = await fetch(issuer.issuer + path);
    await response.body?.cancel();
    assert.equal(response.status, 404);
  });
}

test('its metadata do not follow the Host header', async () => {
  const asked = request(`${issuer.issuer}/.well-known/openid-configuration`, {
    headers: { host: 'evil.test' },
  }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString();
  assert.ok(!text.includes('evil.test'), text);
  assert.equal((JSON.parse(text) as Record<string, unknown>)['issuer'], issuer.issuer);
});

test('its key set holds no private member', async () => {
  const text = await (await fetch(`${issuer.issuer}/jwks`)).text();
  const { keys } = JSON.parse(text) as { keys: Record<string, unknown>[] };
  assert.equal(keys.length, 1);
  assert.deepEqual(Object.keys(keys[0] ?? {}).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
});

test('change() signs with the first key, keeps the others, and withdraws what is left out', async () => {
  const [older, newer] = [await generateSigningKey(), await generateSigningKey()];
  const verifier = verifierFor();
  await issuer.change({ signingKeys: [older] });
  const { accessToken: first } = await issuer.issueToken({ user: 'alice', scopes: [] });
  assert.equal(reasonOf(await verifier.verify(first)), 'verified');

  await issuer.change({ signingKeys: [newer, older] });
  const { accessToken: second } = await issuer.issueToken({ user: 'alice', scopes: [] });
  clock.advance(31_000);
  assert.equal(reasonOf(await verifier.verify(second)), 'verified');
  assert.equal(reasonOf(await verifier.verify(first)), 'verified');

  await issuer.change({ signingKeys: [newer] });
  verifier.purge();
  clock.advance(31_000);
  assert.equal(reasonOf(await verifierFor().verify(first)), 'token-invalid');
  assert.equal(reasonOf(await verifierFor().verify(second)), 'verified');
});

test('change() lets other clients in, and those no more that are left out', async () => {
  const form = { grant_type: LOCAL_USER_GRANT, username: 'alice', scope: 'cart' };
  await issuer.change({ clients: [{ clientId: 'other', clientSecret: 'plain' }] });
  assert.equal((await askToken(form, 'other:plain')).status, 200);
  assert.equal((await askToken(form)).status, 401);
  await issuer.change({ audience: 'elsewhere' });
  assert.equal((await askToken(form, 'other:plain')).status, 200);
  const { accessToken } = await issuer.issueToken({ user: 'alice', scopes: [] });
  assert.equal(reasonOf(await verifierFor('elsewhere').verify(accessToken)), 'verified');
  assert.equal(reasonOf(await verifierFor().verify(accessToken)), 'token-invalid');
});

test('startIssuer() says that a port is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const key = await generateSigningKey();
  await assert.rejects(
    startIssuer({ port, audience: 'x', clients: [], signingKeys: [key], clock, log: silentLog }),
    error => hasCode(error, 'port-taken'),
  );
  other.close();
});

test('the issuer writes nothing to the console', () => {
  assert.deepEqual(said, []);
});
