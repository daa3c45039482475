import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeCertificateRequest, encodePem } from '#domain/x509';
import { readRequest, RequestError } from './read-request.ts';

test('readRequest() answers with the key of a request that this key has signed (RFC 2986 §4)', () => {
  const { spki, pem } = makeRequest();
  assert.deepEqual(readRequest(pem), spki);
  assert.deepEqual(readRequest(pem.trimEnd()), spki);
});

const PEM_HEAD = '-----BEGIN CERTIFICATE REQUEST-----\n';
const DAMAGED_REQUESTS: readonly (readonly [string, (pem: string, der: Buffer) => string])[] = [
  ['nothing', () => ''],
  ['another label', pem => pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')],
  ['text before it', pem => `x\n${pem}`],
  ['text behind it', pem => `${pem}x`],
  ['two of them', pem => pem + pem],
  ['base64 that is not canonical', pem => pem.replace(PEM_HEAD, `${PEM_HEAD}=`)],
  ['bytes behind it', (_, der) => encodePem('CERTIFICATE REQUEST', Buffer.concat([der, Buffer.of(5, 0)]))],
  ['a length that is not the shortest', (_, der) => encodePem('CERTIFICATE REQUEST', withLongLength(der))],
  ['an indefinite length', (_, der) => encodePem('CERTIFICATE REQUEST', withIndefiniteLength(der))],
  ['a part missing', (_, der) => encodePem('CERTIFICATE REQUEST', der.subarray(0, -1))],
  [
    'a signature of another algorithm',
    (_, der) => {
      const oid = der.indexOf(Buffer.from('2a8648ce3d040302', 'hex'));
      return encodePem('CERTIFICATE REQUEST', der.fill(3, oid + 7, oid + 8));
    },
  ],
  [
    'a signature of bits',
    (_, der) => {
      const oid = der.indexOf(Buffer.from('2a8648ce3d040302', 'hex'));
      return encodePem('CERTIFICATE REQUEST', der.fill(1, oid + 10, oid + 11));
    },
  ],
];
for (const [what, damage] of DAMAGED_REQUESTS) {
  test(`readRequest() refuses ${what}`, () => {
    const { pem, der } = makeRequest();
    const damaged = damage(pem, der);
    assert.throws(() => readRequest(damaged), { code: 'malformed-request' });
  });
}

test('readRequest() refuses every request that was cut or flipped', () => {
  const { der } = makeRequest();
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
      const changed = cut ? der.subarray(0, at) : Buffer.from(der).fill(byte, at, at + 1);
      fc.pre(!changed.equals(der));
      assert.throws(() => readRequest(encodePem('CERTIFICATE REQUEST', changed)), RequestError);
    }),
  );
});

function makeRequest() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const pem = encodeCertificateRequest(spki, bytes => sign('sha256', bytes, privateKey));
  const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\n/g, ''), 'base64');
  return { spki, pem, der };
}

/** X.690 §10.1: both are BER, and not DER. The request has one byte of length behind 0x81. */
function withLongLength(der: Buffer): Buffer {
  assert.equal(der[1], 0x81);
  return Buffer.concat([Buffer.of(0x30, 0x82, 0), der.subarray(2)]);
}

function withIndefiniteLength(der: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x30, 0x80), der.subarray(3), Buffer.of(0, 0)]);
}
