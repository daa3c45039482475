import assert from 'node:assert/strict';
import { createHmac, createPublicKey } from 'node:crypto';
import { after, before, test } from 'node:test';
import { FakeClock } from '#base/clock';
import { hasCode } from '#base/error';
import { silentLog } from '#base/log';
import type { BundleIssuer } from '#domain/bundle';
import { TokenVerifier, type TokenVerdict } from '#service/identity';
import { FakeIssuer } from '#service/issuer';

const clock = new FakeClock(Date.UTC(2027, 0, 1));
let issuer: FakeIssuer;
let stranger: FakeIssuer;

before(async () => {
  issuer = await FakeIssuer.start({ nowMs: clock.nowMs });
  stranger = await FakeIssuer.start({ nowMs: clock.nowMs });
});
after(async () => {
  await issuer.close();
  await stranger.close();
});

function declared(fake: FakeIssuer, changes: Partial<BundleIssuer> = {}): BundleIssuer {
  return {
    name: 'shop',
    issuer: fake.issuer,
    audience: fake.audience,
    algorithm: fake.algorithm,
    ...changes,
  };
}

function verifierOf(...issuers: BundleIssuer[]): TokenVerifier {
  return new TokenVerifier({ issuers, clock, log: silentLog });
}

async function reasonOf(verdict: TokenVerdict | Promise<TokenVerdict>): Promise<string> {
  const settled = await verdict;
  return settled.kind === 'refused' ? settled.reason : 'verified';
}

const b64 = (text: string) => Buffer.from(text).toString('base64url');
const part = (token: string, index: number) => token.split('.')[index] ?? '';

for (const algorithm of ['ES256', 'RS256', 'PS256', 'EdDSA'] as const) {
  test(`verify() verifies ${algorithm}, first by a promise and then at once`, async () => {
    const fake = await FakeIssuer.start({ nowMs: clock.nowMs, algorithm });
    const verifier = verifierOf(declared(fake));
    const token = fake.mint();
    const first = verifier.verify(token);
    assert.ok(first instanceof Promise);
    const verdict = await first;
    assert.ok(verdict.kind === 'verified');
    assert.equal(verdict.user.subject, 'alice');
    assert.equal(verifier.verify(token), verdict);

    const signature = Buffer.from(part(token, 2), 'base64url');
    signature[5] = (signature[5] ?? 0) ^ 1;
    const forged = `${part(token, 0)}.${part(token, 1)}.${signature.toString('base64url')}`;
    assert.equal(await reasonOf(verifier.verify(forged)), 'token-invalid');
    await fake.close();
  });
}

test('verify() finds the keys by RFC 8414 when there is no OpenID document', async () => {
  const fake = await FakeIssuer.start({ nowMs: clock.nowMs });
  fake.metadataPath = '/.well-known/oauth-authorization-server';
  assert.equal(await reasonOf(verifierOf(declared(fake)).verify(fake.mint())), 'verified');
  assert.equal(fake.metadataRequests, 2);
  await fake.close();
});

/** What a thief, a forger or a curious user sends. Each verdict is asked for twice: memory must not change it. */
const attacks: readonly (readonly [string, () => string, string])[] = [
  [
    '"alg": "none" without signature',
    () => `${b64('{"alg":"none","typ":"at+jwt"}')}.${part(issuer.mint(), 1)}.`,
    'token-malformed',
  ],
  ['"alg": "none" with the signature kept', () => swapHeader({ alg: 'none' }), 'token-invalid'],
  ['"alg": "nOnE"', () => swapHeader({ alg: 'nOnE' }), 'token-invalid'],
  ['an HMAC under the public key in PEM', () => hmacUnderPublicKey('pem'), 'token-invalid'],
  ['an HMAC under the public key as JWK', () => hmacUnderPublicKey('jwk'), 'token-invalid'],
  ['another algorithm of the same key type', () => swapHeader({ alg: 'ES384' }), 'token-invalid'],
  [
    'a "kid" that walks through files',
    () => issuer.mint({ header: { kid: '../../../../dev/null' } }),
    'token-invalid',
  ],
  [
    'a "kid" that is an SQL injection',
    () => issuer.mint({ header: { kid: "x' UNION SELECT 'key" } }),
    'token-invalid',
  ],
  ['a "kid" named __proto__', () => issuer.mint({ header: { kid: '__proto__' } }), 'token-invalid'],
  ['an empty "kid"', () => issuer.mint({ header: { kid: '' } }), 'token-malformed'],
  [
    'its own key in "jwk"',
    () => stranger.mint({ claims: good(), header: { kid: 'key-1', jwk: stranger.keySet.keys[0] } }),
    'token-invalid',
  ],
  [
    'a "jku" of its own',
    () => stranger.mint({ claims: good(), header: { kid: 'key-1', jku: `${stranger.issuer}/keys` } }),
    'token-invalid',
  ],
  [
    'an "x5u" of its own',
    () => stranger.mint({ claims: good(), header: { kid: 'key-1', x5u: stranger.issuer } }),
    'token-invalid',
  ],
  ['the key of another issuer under our "kid"', () => stranger.mint({ claims: good() }), 'token-invalid'],
  ['an issuer that nobody declared', () => stranger.mint(), 'token-invalid'],
  ['a critical extension', () => issuer.mint({ header: { crit: ['exp'], exp: 1 } }), 'token-invalid'],
  [
    'an unencoded payload (RFC 7797)',
    () => issuer.mint({ header: { b64: false, crit: ['b64'] } }),
    'token-invalid',
  ],
  ['an ID token', () => issuer.mint({ header: { typ: 'JWT' } }), 'token-invalid'],
  ['a token without type', () => issuer.mint({ header: { typ: undefined } }), 'token-invalid'],
  ['a token of another audience', () => issuer.mint({ claims: { aud: 'bank' } }), 'token-invalid'],
  ['an expired token', () => issuer.mint({ claims: { exp: clock.nowMs() / 1000 - 1 } }), 'token-expired'],
  ['a token without end', () => issuer.mint({ claims: { exp: undefined } }), 'token-malformed'],
  [
    'a token from the future',
    () => issuer.mint({ claims: { nbf: clock.nowMs() / 1000 + 60 } }),
    'token-invalid',
  ],
  ['a token bound to a key', () => issuer.mint({ claims: { cnf: { jkt: 'x' } } }), 'token-invalid'],
  [
    'claims said twice',
    () => issuer.mint({ payloadText: JSON.stringify(good()).replace('{', '{"sub":"root",') }),
    'token-malformed',
  ],
  [
    'a header said twice',
    () => issuer.mint({ headerText: '{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"key-1"}' }),
    'token-malformed',
  ],
  ['a changed claim', () => swapPayload({ sub: 'root' }), 'token-invalid'],
  ['an all-zero signature (CVE-2022-21449)', () => swapSignature(Buffer.alloc(64)), 'token-invalid'],
  [
    'a signature in DER',
    () => swapSignature(Buffer.concat([Buffer.from('3044022000', 'hex'), Buffer.alloc(66)])),
    'token-invalid',
  ],
  ['a signature cut short', () => swapSignature(Buffer.alloc(63)), 'token-invalid'],
  ['a padded signature', () => `${issuer.mint()}=`, 'token-malformed'],
  ['a trailing newline', () => `${issuer.mint()}\n`, 'token-malformed'],
  ['a space inside', () => issuer.mint().replace('.', ' .'), 'token-malformed'],
  ['the prefix twice', () => `Bearer ${issuer.mint()}`, 'token-malformed'],
  ['nothing', () => '', 'token-malformed'],
  ['a megabyte', () => 'a.'.repeat(500_000), 'token-malformed'],
  ['text beyond ASCII', () => issuer.mint() + '\u0130', 'token-malformed'],
];

function good(): Record<string, unknown> {
  return issuer.goodClaims();
}
function swapHeader(changes: object): string {
  const token = issuer.mint();
  const header = JSON.parse(Buffer.from(part(token, 0), 'base64url').toString()) as object;
  return `${b64(JSON.stringify({ ...header, ...changes }))}.${part(token, 1)}.${part(token, 2)}`;
}
function swapPayload(changes: object): string {
  const token = issuer.mint();
  return `${part(token, 0)}.${b64(JSON.stringify({ ...good(), ...changes }))}.${part(token, 2)}`;
}
function swapSignature(signature: Buffer): string {
  const token = issuer.mint();
  return `${part(token, 0)}.${part(token, 1)}.${signature.toString('base64url')}`;
}
function hmacUnderPublicKey(form: 'pem' | 'jwk'): string {
  const [jwk] = issuer.keySet.keys;
  assert.ok(jwk !== undefined);
  const pem = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const signed = `${b64(JSON.stringify({ alg: 'HS256', typ: 'at+jwt', kid: 'key-1' }))}.${b64(JSON.stringify(good()))}`;
  return `${signed}.${createHmac('sha256', form === 'pem' ? pem : JSON.stringify(jwk))
    .update(signed)
    .digest('base64url')}`;
}

for (const [name, make, expected] of attacks) {
  test(`verify() refuses ${name}`, async () => {
    const verifier = verifierOf(declared(issuer));
    assert.equal(await reasonOf(verifier.verify(issuer.mint())), 'verified', 'positive control');
    const token = make();
    assert.equal(await reasonOf(verifier.verify(token)), expected);
    assert.equal(await reasonOf(verifier.verify(token)), expected);
  });
}

test('verify() gives a verified token no second spelling: each flipped unused bit is refused', async () => {
  const verifier = verifierOf(declared(issuer));
  const token = issuer.mint();
  assert.equal(await reasonOf(verifier.verify(token)), 'verified');
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const bytes = Buffer.from(token.slice(-2), 'base64url').toString('hex');
  const spellings = alphabet
    .split('')
    .map(last => token.slice(0, -1) + last)
    .filter(other => other !== token);
  const same = spellings.filter(other => Buffer.from(other.slice(-2), 'base64url').toString('hex') === bytes);
  assert.ok(same.length > 0);
  for (const other of same) assert.equal(await reasonOf(verifier.verify(other)), 'token-malformed');
});

test('verify() stops at the end of a remembered token', async () => {
  const verifier = verifierOf(declared(issuer));
  const token = issuer.mint({ claims: { exp: clock.nowMs() / 1000 + 5 } });
  assert.equal(await reasonOf(verifier.verify(token)), 'verified');
  clock.advance(4999);
  assert.equal(await reasonOf(verifier.verify(token)), 'verified');
  clock.advance(1);
  assert.equal(await reasonOf(verifier.verify(token)), 'token-expired');
});

test('verify() asks once for a token that comes many times at once', async () => {
  const verifier = verifierOf(declared(issuer));
  const token = issuer.mint();
  const verdicts = Array.from({ length: 50 }, () => verifier.verify(token));
  assert.equal(new Set(verdicts).size, 1);
  assert.equal(await reasonOf(verdicts[0] ?? verifier.verify('')), 'verified');
});

test('verify() turns away what exceeds 1024 signatures at a time, and recovers', async () => {
  const verifier = verifierOf(declared(issuer));
  const verdicts = Array.from({ length: 1100 }, () => verifier.verify(issuer.mint()));
  const reasons = await Promise.all(verdicts.map(reasonOf));
  assert.equal(reasons.filter(reason => reason === 'verified').length, 1024);
  assert.equal(reasons.filter(reason => reason === 'overloaded').length, 76);
  assert.equal(await reasonOf(verifier.verify(issuer.mint())), 'verified');
});

test('ten thousand forged tokens leave bounded memory, and good ones are remembered beside them', async () => {
  const verifier = verifierOf(declared(issuer));
  const token = issuer.mint();
  await verifier.verify(token);
  const [header, payload] = [part(token, 0), part(token, 1)];
  for (let round = 0; round < 20; round++) {
    const forged = Array.from({ length: 500 }, (_, at) => {
      const signature = Buffer.alloc(64, 7);
      signature.writeUInt32BE(round * 500 + at);
      return `${header}.${payload}.${signature.toString('base64url')}`;
    });
    const reasons = await Promise.all(forged.map(text => reasonOf(verifier.verify(text))));
    assert.ok(reasons.every(reason => reason === 'token-invalid'));
  }
  assert.ok(verifier.size <= 1001, String(verifier.size));
  assert.equal((verifier.verify(token) as TokenVerdict).kind, 'verified');
});

test('a flood of malformed tokens leaves nothing behind', () => {
  const verifier = verifierOf(declared(issuer));
  for (let i = 0; i < 10_000; i++) {
    assert.ok(!(verifier.verify(`${b64(`{"alg":"ES256","n":${i}}`)}.e30.AAAA`) instanceof Promise));
  }
  assert.equal(verifier.size, 0);
});

test('a flood of good tokens is remembered up to the bound', async () => {
  const verifier = new TokenVerifier({
    issuers: [declared(issuer)],
    clock,
    log: silentLog,
    maxVerified: 100,
  });
  await Promise.all(Array.from({ length: 500 }, () => reasonOf(verifier.verify(issuer.mint()))));
  assert.ok(verifier.size <= 100);
});

test('verify() remembers a forged signature: sending it again costs no cryptography', async () => {
  const verifier = verifierOf(declared(issuer));
  const forged = swapPayload({ sub: 'root' });
  assert.ok(verifier.verify(forged) instanceof Promise);
  await verifier.verify(forged);
  assert.ok(!(verifier.verify(forged) instanceof Promise));
});

test('purge() forgets, also what was under way', async () => {
  const verifier = verifierOf(declared(issuer));
  const token = issuer.mint();
  await verifier.verify(token);
  verifier.purge();
  assert.equal(verifier.size, 0);
  const underWay = verifier.verify(token);
  verifier.purge();
  assert.equal(await reasonOf(underWay), 'verified');
  assert.equal(verifier.size, 0);
});

test('one issuer does not vouch for the users of another', async () => {
  const verifier = verifierOf(declared(issuer), declared(stranger, { name: 'other', audience: 'other' }));
  assert.equal(await reasonOf(verifier.verify(issuer.mint())), 'verified');
  assert.equal(await reasonOf(verifier.verify(stranger.mint({ claims: { aud: 'other' } }))), 'verified');
  assert.equal(
    await reasonOf(verifier.verify(stranger.mint({ claims: { iss: issuer.issuer } }))),
    'token-invalid',
  );
  assert.equal(await reasonOf(verifier.verify(stranger.mint())), 'token-invalid');
});

test('setIssuers() keeps the keys of an issuer that stays, and forgets the tokens of one that goes', async () => {
  const fake = await FakeIssuer.start({ nowMs: clock.nowMs });
  const verifier = verifierOf(declared(fake), declared(stranger, { name: 'other' }));
  const [token, foreign] = [fake.mint(), stranger.mint()];
  await verifier.verify(token);
  assert.equal(await reasonOf(verifier.verify(foreign)), 'verified');
  verifier.setIssuers([declared(fake)]);
  fake.behaviour = { kind: 'resets' };
  assert.equal(await reasonOf(verifier.verify(token)), 'verified');
  assert.equal(await reasonOf(verifier.verify(foreign)), 'token-invalid');

  verifier.setIssuers([declared(fake, { audience: 'else' })]);
  assert.equal(await reasonOf(verifier.verify(token)), 'token-invalid');
  await fake.close();
});

test('an issuer that is declared twice is refused', () => {
  assert.throws(
    () => verifierOf(declared(issuer), declared(issuer, { audience: 'x' })),
    error => hasCode(error, 'duplicate-issuer'),
  );
});

test('close() refuses everything from then on', async () => {
  const verifier = verifierOf(declared(issuer));
  const token = issuer.mint();
  await verifier.verify(token);
  verifier.close();
  assert.equal(await reasonOf(verifier.verify(token)), 'token-invalid');
});
