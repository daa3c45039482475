import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, verify, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import {
  authorityFault,
  authorityTrustDomain,
  certificateSerial,
  encodeCertificateRequest,
  peerIdentity,
  splitPemChain,
} from '#domain/x509';
import { DerReader, encodeDer, TAG } from './der.ts';

const VECTORS = new URL('../../../../shared/vectors/spiffe/svid/x509svid/testdata/', import.meta.url);
const skip = existsSync(fileURLToPath(VECTORS)) ? false : 'shared vectors are not there';

const GOOD = { kind: 'identity', id: 'spiffe://example.org/workload-1', trustDomain: 'example.org' };
const LEAVES: readonly (readonly [string, unknown])[] = [
  ['good-leaf-only.pem', GOOD],
  ['good-leaf-and-intermediate.pem', GOOD],
  ['good-cert-and-key.pem', GOOD],
  ['good-key-and-cert.pem', GOOD],
  ['wrong-leaf-ca-true.pem', { kind: 'refused', fault: 'is-authority' }],
  ['wrong-leaf-cert-sign.pem', { kind: 'refused', fault: 'bad-key-usage' }],
  ['wrong-leaf-crl-sign.pem', { kind: 'refused', fault: 'bad-key-usage' }],
  ['wrong-leaf-no-digital-signature.pem', { kind: 'refused', fault: 'bad-key-usage' }],
  ['wrong-leaf-empty-id.pem', { kind: 'refused', fault: 'no-identity' }],
];

for (const [file, expected] of LEAVES) {
  test(`peerIdentity() on go-spiffe's ${file}`, { skip }, () => {
    assert.deepEqual(peerIdentity(vector(file)[0]!), expected);
  });
}

const AUTHORITIES: readonly (readonly [string, string | undefined])[] = [
  ['good-leaf-and-intermediate.pem', undefined],
  ['wrong-intermediate-no-ca.pem', 'not-an-authority'],
  ['wrong-intermediate-no-key-cert-sign.pem', 'bad-key-usage'],
];

for (const [file, expected] of AUTHORITIES) {
  test(`authorityFault() on the intermediate of go-spiffe's ${file}`, { skip }, () => {
    assert.equal(authorityFault(vector(file)[1]!), expected);
  });
}

test('authorityTrustDomain() reads the path-less id of an authority and of nothing else', { skip }, () => {
  const [leaf, authority] = vector('good-leaf-and-intermediate.pem');
  assert.equal(authorityTrustDomain(authority!), 'example.org');
  assert.equal(authorityTrustDomain(leaf!), undefined);
});

test('peerIdentity() answers to every cut or flipped certificate without throwing', { skip }, () => {
  const good = vector('good-leaf-only.pem')[0]!.raw;
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
      const damaged = Buffer.from(good);
      damaged[at] = byte;
      const verdict = peerIdentity(certificateOf(cut ? damaged.subarray(0, at) : damaged));
      if (cut) assert.deepEqual(verdict, { kind: 'refused', fault: 'damaged' });
    }),
    { numRuns: 2000 },
  );
});

const uri = (text: string) => encodeDer(0x86, Buffer.from(text));
const dns = (text: string) => encodeDer(0x82, Buffer.from(text));
const names = (...list: Buffer[]) => extension('551d11', false, encodeDer(TAG.sequence, ...list));
const usage = (bits: number, critical = true) =>
  extension('551d0f', critical, encodeDer(TAG.bitString, Buffer.from([0, bits])));
const purposes = (...oids: string[]) =>
  extension(
    '551d25',
    false,
    encodeDer(TAG.sequence, ...oids.map(oid => encodeDer(TAG.oid, Buffer.from(oid, 'hex')))),
  );
const constraints = (...fields: Buffer[]) => extension('551d13', true, encodeDer(TAG.sequence, ...fields));
const AUTHORITY = encodeDer(TAG.boolean, Buffer.from([0xff]));
const SERVER = '2b06010505070301';
const CLIENT = '2b06010505070302';
const ID = uri('spiffe://a.b/ns/default/sa/web');

test('peerIdentity() accepts a leaf with other names beside the one URI (X509-SVID §2)', () => {
  const verdict = peerIdentity(made(names(dns('a.b'), ID), usage(0x80), purposes(SERVER, CLIENT)));
  assert.deepEqual(verdict, { kind: 'identity', id: 'spiffe://a.b/ns/default/sa/web', trustDomain: 'a.b' });
});

const REFUSED: readonly (readonly [string, string, readonly Buffer[]])[] = [
  ['two URI names', 'several-identities', [names(ID, uri('https://a.b')), usage(0x80)]],
  ['the same URI name twice', 'several-identities', [names(ID, ID), usage(0x80)]],
  ['a URI of another scheme', 'bad-identity', [names(uri('https://a.b/c')), usage(0x80)]],
  ['the id of a trust domain', 'bad-identity', [names(uri('spiffe://a.b')), usage(0x80)]],
  ['an id with a NUL inside', 'bad-identity', [names(uri('spiffe://a.b/c\u0000d')), usage(0x80)]],
  ['no key usage', 'bad-key-usage', [names(ID)]],
  ['a key usage that is not critical', 'bad-key-usage', [names(ID), usage(0x80, false)]],
  ['a key usage without digitalSignature', 'bad-key-usage', [names(ID), usage(0x20)]],
  ['a key usage with keyCertSign', 'bad-key-usage', [names(ID), usage(0x84)]],
  ['a key usage with cRLSign', 'bad-key-usage', [names(ID), usage(0x82)]],
  ['an authority', 'is-authority', [names(ID), usage(0x80), constraints(AUTHORITY)]],
  ['serverAuth alone', 'bad-extended-key-usage', [names(ID), usage(0x80), purposes(SERVER)]],
  ['clientAuth alone', 'bad-extended-key-usage', [names(ID), usage(0x80), purposes(CLIENT)]],
  ['an extension that occurs twice', 'damaged', [names(ID), names(ID), usage(0x80)]],
  ['names that are none', 'damaged', [extension('551d11', true, Buffer.from('30ff', 'hex')), usage(0x80)]],
  [
    'a key usage that is no bits',
    'damaged',
    [names(ID), extension('551d0f', true, Buffer.from('0500', 'hex'))],
  ],
  ['no extensions', 'no-identity', []],
];

for (const [what, fault, extensions] of REFUSED) {
  test(`peerIdentity() refuses ${what}`, () => {
    assert.deepEqual(peerIdentity(made(...extensions)), { kind: 'refused', fault });
  });
}

test('certificateSerial() writes serials as bundles list them', () => {
  const serialOf = (serialNumber: string) => certificateSerial({ serialNumber } as X509Certificate);
  assert.equal(serialOf('0A1B'), 'a1b');
  assert.equal(serialOf('00'), '0');
  assert.equal(serialOf('F2B2'), 'f2b2');
});

test('encodeDer() and DerReader agree on every length', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 70_000 }), length => {
      const reader = new DerReader(encodeDer(TAG.octetString, Buffer.alloc(length, 7)));
      assert.equal(reader.contentOf(reader.take(TAG.octetString)).byteLength, length);
      assert.equal(reader.atEnd, true);
    }),
    { numRuns: 60 },
  );
});

for (const [what, bytes] of [
  ['an indefinite length', '3080'],
  ['a length of four bytes', '308400000001'],
  ['a length that is not the shortest', '3081010000'],
  ['a length with a leading zero', '30820001aa'],
  ['a long tag', '3f8100'],
  ['an element longer than its holder', '3002aa'],
  ['no length', '30'],
] as const) {
  test(`DerReader refuses ${what} (X.690 §10)`, () => {
    assert.throws(() => new DerReader(Buffer.from(bytes, 'hex')).next(), { code: 'damaged' });
  });
}

test('encodeCertificateRequest() signs what it encodes, with the key that it names (RFC 2986 §4)', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const pem = encodeCertificateRequest(spki, bytes => sign('sha256', bytes, privateKey));
  assert.match(pem, /^-----BEGIN CERTIFICATE REQUEST-----\n/);
  const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\n/g, ''), 'base64');
  const outer = new DerReader(der);
  const request = outer.inside(outer.take(TAG.sequence));
  const info = request.take(TAG.sequence);
  const signed = der.subarray(4 - (der[1] === 0x81 ? 1 : 2), info.end);
  request.take(TAG.sequence);
  const signature = request.contentOf(request.take(TAG.bitString)).subarray(1);
  assert.equal(signed.includes(spki), true);
  assert.equal(verify('sha256', signed, publicKey, signature), true);
});

test('splitPemChain() keeps certificates and leaves keys and garbage out', { skip }, () => {
  const chain = splitPemChain(readFileSync(new URL('good-key-and-cert.pem', VECTORS), 'utf8'));
  assert.equal(chain.length, 1);
  assert.deepEqual(splitPemChain('garbage'), []);
  assert.deepEqual(splitPemChain('-----BEGIN CERTIFICATE-----\n'), []);
});

function vector(file: string): X509Certificate[] {
  return splitPemChain(readFileSync(new URL(file, VECTORS), 'utf8')).map(pem => new X509Certificate(pem));
}

function certificateOf(raw: Buffer): X509Certificate {
  return { raw } as X509Certificate;
}

/** A certificate of which only the extensions are real. */
function made(...extensions: Buffer[]): X509Certificate {
  const list = extensions.length === 0 ? [] : [encodeDer(0xa3, encodeDer(TAG.sequence, ...extensions))];
  const fields = encodeDer(TAG.sequence, encodeDer(TAG.integer, Buffer.from([1])), ...list);
  return certificateOf(encodeDer(TAG.sequence, fields));
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [encodeDer(TAG.boolean, Buffer.from([0xff]))] : [];
  return encodeDer(
    TAG.sequence,
    encodeDer(TAG.oid, Buffer.from(oid, 'hex')),
    ...flag,
    encodeDer(TAG.octetString, value),
  );
}
