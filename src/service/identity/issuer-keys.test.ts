import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeClock } from '#base/clock';
import { silentLog, type Log } from '#base/log';
import { TokenVerifier, type FetchOptions } from '#service/identity';
import { FakeIssuer, type FakeBehaviour } from '#service/issuer';

const MINUTE_MS = 60_000;
const LONG = { exp: Date.UTC(2030, 0, 1) / 1000 };

let clock: FakeClock;
let issuer: FakeIssuer;
let verifier: TokenVerifier;

beforeEach(async () => {
  clock = new FakeClock(Date.UTC(2027, 0, 1));
  issuer = await FakeIssuer.start({ nowMs: clock.nowMs });
  verifier = verifierWith({});
});
afterEach(async () => {
  verifier.close();
  await issuer.close();
});

function verifierWith(http: Partial<FetchOptions>, log: Log = silentLog): TokenVerifier {
  const { algorithm, audience } = issuer;
  return new TokenVerifier({
    issuers: [{ name: 'shop', issuer: issuer.issuer, audience, algorithm }],
    clock,
    log,
    http,
  });
}

async function verify(token: string): Promise<string> {
  const verdict = await verifier.verify(token);
  return verdict.kind === 'refused' ? verdict.reason : 'verified';
}

/** Lets a refresh in the background come to its end. */
async function settle(): Promise<void> {
  const before = issuer.keySetRequests + issuer.metadataRequests;
  for (let round = 0; round < 50; round++) {
    await new Promise(resolve => setTimeout(resolve, 2));
    if (issuer.keySetRequests + issuer.metadataRequests > before && round > 5) return;
  }
}

test('an issuer that nobody uses is not asked', async () => {
  await verifier.verify('x.y.z');
  await verify(issuer.mint({ claims: { iss: 'https://other.test' } }));
  assert.equal(issuer.metadataRequests, 0);
});

test('the keys are fetched once for all who wait', async () => {
  const verdicts = await Promise.all(Array.from({ length: 40 }, () => verify(issuer.mint())));
  assert.ok(verdicts.every(verdict => verdict === 'verified'));
  assert.equal(issuer.keySetRequests, 1);
});

test('a new key is fetched when a token names it, at most every 30 s', async () => {
  assert.equal(await verify(issuer.mint()), 'verified');
  issuer.addKey();
  assert.equal(await verify(issuer.mint()), 'token-invalid');
  clock.advance(30_000);
  assert.equal(await verify(issuer.mint()), 'verified');
  assert.equal(issuer.keySetRequests, 2);
});

test('a flood of unknown key ids causes one fetch in 30 s', async () => {
  assert.equal(await verify(issuer.mint()), 'verified');
  clock.advance(30_000);
  for (let i = 0; i < 200; i++) {
    assert.equal(await verify(issuer.mint({ header: { kid: `made-up-${i}` } })), 'token-invalid');
  }
  assert.equal(issuer.keySetRequests, 2);
});

test('after ten minutes the keys are fetched in the background: nobody waits', async () => {
  const token = issuer.mint();
  await verify(token);
  clock.advance(10 * MINUTE_MS - 1);
  await verify(token);
  assert.equal(issuer.keySetRequests, 1);
  const fresh = issuer.mint({ claims: LONG });
  clock.advance(1);
  assert.equal(await verify(fresh), 'verified');
  await settle();
  assert.equal(issuer.keySetRequests, 2);
});

test('a withdrawn key stops verifying at the next refresh, remembered tokens included', async () => {
  const old = issuer.mint({ claims: LONG });
  assert.equal(await verify(old), 'verified');
  const oldKid = 'key-1';
  issuer.addKey();
  issuer.withdrawKey(oldKid);

  clock.advance(10 * MINUTE_MS);
  assert.ok(!(verifier.verify(old) instanceof Promise), 'still remembered');
  await settle();
  assert.equal(await verify(old), 'token-invalid');
  assert.equal(await verify(issuer.mint({ kid: oldKid })), 'token-invalid');
  assert.equal(await verify(issuer.mint()), 'verified');
});

test('a key that was replaced under the same kid verifies nothing any more', async () => {
  const token = issuer.mint({ claims: LONG });
  assert.equal(await verify(token), 'verified');
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: 'key-1' }];
  issuer.behaviour = { kind: 'says', keySet: JSON.stringify({ keys }) };
  clock.advance(20 * MINUTE_MS);
  assert.equal(await verify(token), 'token-invalid');
});

test('after a long silence the first token waits for fresh keys', async () => {
  const token = issuer.mint({ claims: LONG });
  assert.equal(await verify(token), 'verified');
  issuer.addKey();
  issuer.withdrawKey('key-1');
  clock.advance(3 * 60 * MINUTE_MS);
  assert.equal(await verify(token), 'token-invalid');
});

test('a key set without keys refuses every token: the issuer has the last word', async () => {
  const token = issuer.mint({ claims: LONG });
  assert.equal(await verify(token), 'verified');
  issuer.behaviour = { kind: 'says', keySet: '{"keys":[]}' };
  clock.advance(20 * MINUTE_MS);
  assert.equal(await verify(token), 'token-invalid');
});

test('an issuer that is down is believed for a day, and not a minute longer', async () => {
  const token = issuer.mint({ claims: LONG });
  assert.equal(await verify(token), 'verified');
  issuer.behaviour = { kind: 'resets' };
  clock.advance(60 * MINUTE_MS);
  assert.equal(await verify(token), 'verified');
  assert.equal(await verify(issuer.mint({ claims: LONG })), 'verified');
  clock.advance(22 * 60 * MINUTE_MS);
  assert.equal(await verify(token), 'verified');
  clock.advance(60 * MINUTE_MS);
  assert.equal(await verify(token), 'issuer-unavailable');
  issuer.behaviour = { kind: 'normal' };
  clock.advance(MINUTE_MS);
  assert.equal(await verify(token), 'verified');
});

test('an issuer that is down is asked ever more rarely, and believed again within 30 s', async () => {
  issuer.behaviour = { kind: 'broken', status: 503 };
  const waitsMs = [0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
  for (const [at, waitMs] of waitsMs.entries()) {
    clock.advance(waitMs - 1);
    assert.equal(await verify(issuer.mint()), 'issuer-unavailable');
    clock.advance(1);
    assert.equal(await verify(issuer.mint()), 'issuer-unavailable');
    assert.equal(issuer.metadataRequests, (at + 1) * 2, `after ${waitMs} ms`);
  }
  issuer.behaviour = { kind: 'normal' };
  clock.advance(30_000);
  assert.equal(await verify(issuer.mint()), 'verified');
});

test('an issuer that is down refuses its own tokens only', async () => {
  const other = await FakeIssuer.start({ nowMs: clock.nowMs });
  const { audience, algorithm } = issuer;
  const names = [issuer, other].map((fake, at) => ({
    name: `n${at}`,
    issuer: fake.issuer,
    audience,
    algorithm,
  }));
  verifier = new TokenVerifier({ issuers: names, clock, log: silentLog });
  issuer.behaviour = { kind: 'resets' };
  assert.equal(await verify(issuer.mint()), 'issuer-unavailable');
  assert.equal(await verify(other.mint()), 'verified');
  await other.close();
});

test('a slow issuer that is flooded does not keep the tokens of another waiting', async () => {
  const other = await FakeIssuer.start({ nowMs: clock.nowMs });
  const { audience, algorithm } = issuer;
  const names = [issuer, other].map((fake, at) => ({
    name: `n${at}`,
    issuer: fake.issuer,
    audience,
    algorithm,
  }));
  verifier = new TokenVerifier({ issuers: names, clock, log: silentLog, http: { timeoutMs: 300 } });
  issuer.behaviour = { kind: 'hangs' };
  const flood = Array.from({ length: 1100 }, () => verify(issuer.mint()));
  assert.equal(await verify(other.mint()), 'verified');
  const reasons = await Promise.all(flood);
  assert.equal(reasons.filter(reason => reason === 'overloaded').length, 76);
  assert.equal(reasons.filter(reason => reason === 'issuer-unavailable').length, 1024);
  await other.close();
});

test('a flood of unknown key ids while the issuer is slow does not keep its other tokens waiting', async () => {
  verifier = verifierWith({ timeoutMs: 300 });
  assert.equal(await verify(issuer.mint()), 'verified');
  clock.advance(30_000);
  issuer.behaviour = { kind: 'hangs' };
  const flood = Array.from({ length: 1100 }, (_, at) => verify(issuer.mint({ header: { kid: `k${at}` } })));
  assert.equal(await verify(issuer.mint()), 'verified');
  await Promise.all(flood);
});

test('a slow issuer is given up on', async () => {
  verifier = verifierWith({ timeoutMs: 50 });
  issuer.behaviour = { kind: 'hangs' };
  const startMs = performance.now();
  assert.equal(await verify(issuer.mint()), 'issuer-unavailable');
  assert.ok(performance.now() - startMs < 2000);
});

test('close() ends a fetch under way', async () => {
  issuer.behaviour = { kind: 'hangs' };
  const verdict = verify(issuer.mint());
  setTimeout(() => verifier.close(), 10);
  assert.equal(await verdict, 'issuer-unavailable');
});

const illnesses: readonly (readonly [string, (fake: FakeIssuer) => FakeBehaviour])[] = [
  ['a key set that is too long', () => ({ kind: 'huge', bytes: 1024 * 1024 })],
  ['a redirect', () => ({ kind: 'redirects' })],
  ['a status other than 200', () => ({ kind: 'broken', status: 500 })],
  ['metadata of another issuer', () => ({ kind: 'says', metadata: { issuer: 'https://evil.test' } })],
  [
    'metadata of the issuer with a slash more',
    fake => ({ kind: 'says', metadata: { issuer: `${fake.issuer}/` } }),
  ],
  ['metadata without "jwks_uri"', () => ({ kind: 'says', metadata: { jwks_uri: undefined } })],
  ['a "jwks_uri" that is a file', () => ({ kind: 'says', metadata: { jwks_uri: 'file:///etc/passwd' } })],
  [
    'a "jwks_uri" in plain HTTP elsewhere',
    () => ({ kind: 'says', metadata: { jwks_uri: 'http://192.0.2.1/keys' } }),
  ],
  [
    'a "jwks_uri" at a name that only looks local',
    () => ({ kind: 'says', metadata: { jwks_uri: 'http://127.0.0.1.evil.test/' } }),
  ],
  ['a key set that is not JSON', () => ({ kind: 'says', keySet: '<html>' })],
  ['a key set that is a list', () => ({ kind: 'says', keySet: '[]' })],
  [
    'a key set that names "keys" twice',
    fake => ({ kind: 'says', keySet: `{"keys":[],"keys":${JSON.stringify(fake.keySet.keys)}}` }),
  ],
  [
    'more than 64 keys',
    fake => ({
      kind: 'says',
      keySet: JSON.stringify({
        keys: Array.from({ length: 65 }, (_, at) => ({ ...fake.keySet.keys[0], kid: `k${at}` })),
      }),
    }),
  ],
  [
    'two keys of one kid',
    fake => ({ kind: 'says', keySet: JSON.stringify({ keys: [fake.keySet.keys[0], fake.keySet.keys[0]] }) }),
  ],
];
for (const [name, behaviour] of illnesses) {
  test(`keys are not taken from ${name}`, async () => {
    issuer.behaviour = behaviour(issuer);
    assert.equal(await verify(issuer.mint()), 'issuer-unavailable');
    issuer.behaviour = { kind: 'normal' };
    clock.advance(30_000);
    assert.equal(await verify(issuer.mint()), 'verified', 'positive control');
  });
}

const unfit: readonly (readonly [string, object])[] = [
  ['for encryption', { use: 'enc' }],
  ['for other operations', { key_ops: ['sign'] }],
  ['for another algorithm', { alg: 'ES384' }],
  ['of another curve', { crv: 'P-384' }],
  ['of another type', { kty: 'oct', k: 'AAAA' }],
  ['without coordinates', { y: undefined }],
  ['off the curve', { x: 'A'.repeat(43) }],
  ['whose kid is too long', { kid: 'k'.repeat(256) }],
];
for (const [name, changes] of unfit) {
  test(`a key ${name} verifies nothing`, async () => {
    const keys = [{ ...issuer.keySet.keys[0], ...changes }];
    issuer.behaviour = { kind: 'says', keySet: JSON.stringify({ keys }) };
    assert.equal(await verify(issuer.mint()), 'token-invalid');
  });
}

test('private members that an issuer publishes by mistake are not imported', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keys = [issuer.keySet.keys[0], { ...privateKey.export({ format: 'jwk' }), kid: 'k2' }];
  issuer.behaviour = { kind: 'says', keySet: JSON.stringify({ keys }) };
  assert.equal(await verify(issuer.mint()), 'verified');
});

for (const [bits, expected] of [
  [1024, 'token-invalid'],
  [2048, 'verified'],
] as const) {
  test(`an RSA key of ${bits} bits: ${expected}`, async () => {
    const rsa = await FakeIssuer.start({ nowMs: clock.nowMs, algorithm: 'RS256', rsaBits: bits });
    verifier = new TokenVerifier({
      issuers: [{ name: 'rsa', issuer: rsa.issuer, audience: rsa.audience, algorithm: 'RS256' }],
      clock,
      log: silentLog,
    });
    assert.equal(await verify(rsa.mint()), expected);
    await rsa.close();
  });
}

test('a token without kid is verified by the only key, and refused when there are two', async () => {
  assert.equal(await verify(issuer.mint({ header: { kid: undefined } })), 'verified');
  issuer.addKey();
  clock.advance(30_000);
  assert.equal(await verify(issuer.mint()), 'verified');
  assert.equal(await verify(issuer.mint({ header: { kid: undefined } })), 'token-invalid');
});

test('an https issuer is believed only under a trusted certificate, and may not send to plain HTTP', async context => {
  const tls = makeCertificate();
  if (tls === undefined) {
    context.skip('needs openssl to make a certificate');
    return;
  }
  const secure = await FakeIssuer.start({ nowMs: clock.nowMs, tls });
  const { issuer: url, audience, algorithm } = secure;
  const issuers = [{ name: 'secure', issuer: url, audience, algorithm }];
  const verifyWith = async (http: Partial<FetchOptions>) => {
    verifier = new TokenVerifier({ issuers, clock, log: silentLog, http });
    return verify(secure.mint());
  };
  assert.equal(await verifyWith({}), 'issuer-unavailable');
  assert.equal(await verifyWith({ ca: tls.cert }), 'verified');
  secure.behaviour = { kind: 'says', metadata: { jwks_uri: `${issuer.issuer}/keys` } };
  assert.equal(await verifyWith({ ca: tls.cert }), 'issuer-unavailable');
  await secure.close();
});

for (const [name, url] of [
  ['in plain HTTP', 'http://192.0.2.1'],
  ['with a query', 'https://id.test/?a=b'],
  ['with a password', 'https://user:pass@id.test'],
  ['that is no URL', 'boutique'],
  ['of another scheme', 'ftp://127.0.0.1'],
] as const) {
  test(`an issuer ${name} is not asked`, async () => {
    const { audience, algorithm } = issuer;
    verifier = new TokenVerifier({
      issuers: [{ name: 'x', issuer: url, audience, algorithm }],
      clock,
      log: silentLog,
      http: { timeoutMs: 100 },
    });
    assert.equal(await verify(issuer.mint({ claims: { iss: url } })), 'issuer-unavailable');
  });
}

/** A self-signed certificate for 127.0.0.1; `undefined` without openssl. */
function makeCertificate(): { readonly key: string; readonly cert: string } | undefined {
  const words =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout - -days 1 -subj /CN=fake -addext subjectAltName=IP:127.0.0.1';
  const { status, stdout } = spawnSync('openssl', words.split(' '), { encoding: 'utf8' });
  const [key, cert] = [
    /-----BEGIN PRIVATE KEY-----[^]+?-----END PRIVATE KEY-----/,
    /-----BEGIN CERTIFICATE-----[^]+/,
  ].map(pattern => pattern.exec(stdout ?? '')?.[0]);
  return status === 0 && key !== undefined && cert !== undefined ? { key, cert } : undefined;
}

test('what is logged of a failure names the issuer and no token', async () => {
  const lines: string[] = [];
  const write = (message: string, fields: object = {}) =>
    void lines.push(JSON.stringify({ message, ...fields }));
  verifier = verifierWith({}, { debug: write, info: write, warn: write, error: write });
  issuer.behaviour = { kind: 'broken', status: 500 };
  const token = issuer.mint();
  await verify(token);
  assert.equal(lines.length, 1);
  assert.ok(lines[0]?.includes(issuer.issuer) && lines[0].includes('500'));
  for (const part of token.split('.')) assert.ok(!lines[0]?.includes(part));
});
