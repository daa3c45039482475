import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodePae, envelopeSchema, openEnvelope, sealEnvelope, type Envelope } from '#domain/dsse';

const TYPE = 'application/vnd.example+json';
const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const payload = Buffer.from('{"a":1}');

const expected = {
  payloadType: TYPE,
  keyId: 'key-1',
  verify: (bytes: Uint8Array, signature: Uint8Array) => verify(null, bytes, publicKey, signature),
};

function sealed(key = privateKey, keyId = 'key-1', payloadType = TYPE): Envelope {
  return sealEnvelope({ payloadType, payload, keyId, sign: bytes => sign(null, bytes, key) });
}

test('encodePae() gives the bytes of the specification', () => {
  const pae = encodePae('http://example.com/HelloWorld', Buffer.from('hello world'));
  assert.equal(pae.toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
});

test('encodePae() gives different bytes for different pairs', () => {
  fc.assert(
    fc.property(fc.string(), fc.uint8Array(), fc.string(), fc.uint8Array(), (typeA, bodyA, typeB, bodyB) => {
      const same =
        Buffer.from(typeA).equals(Buffer.from(typeB)) && Buffer.from(bodyA).equals(Buffer.from(bodyB));
      assert.equal(encodePae(typeA, bodyA).equals(encodePae(typeB, bodyB)), same);
    }),
  );
});

test('openEnvelope() gives what was sealed, also among signatures of other keys', () => {
  const envelope = sealed();
  const several = {
    ...envelope,
    signatures: [...sealed(other.privateKey, 'key-0').signatures, ...envelope.signatures],
  };
  for (const candidate of [envelope, several]) {
    assert.deepEqual(openEnvelope(candidate, expected), { kind: 'verified', payload });
  }
});

const REFUSED: readonly (readonly [string, Envelope, string])[] = [
  ['another key under the right id', sealed(other.privateKey), 'bad-signature'],
  ['another key id', sealed(privateKey, 'key-2'), 'unknown-key'],
  ['another type, rightly signed', sealed(privateKey, 'key-1', 'text/plain'), 'wrong-payload-type'],
  [
    'a type exchanged after signing',
    { ...sealed(privateKey, 'key-1', 'text/plain'), payloadType: TYPE },
    'bad-signature',
  ],
  ['a changed payload', { ...sealed(), payload: Buffer.from('{"a":2}').toString('base64') }, 'bad-signature'],
  ['a payload in another spelling', { ...sealed(), payload: `${sealed().payload}\n` }, 'bad-encoding'],
  [
    'a signature that is not base64',
    { ...sealed(), signatures: [{ keyid: 'key-1', sig: '*' }] },
    'bad-encoding',
  ],
  ['an empty signature', { ...sealed(), signatures: [{ keyid: 'key-1', sig: '' }] }, 'bad-signature'],
];

for (const [what, envelope, fault] of REFUSED) {
  test(`openEnvelope() refuses ${what}`, () => {
    assert.deepEqual(openEnvelope(envelope, expected), { kind: 'refused', fault });
  });
}

test('envelopeSchema refuses an envelope without signatures and one with unknown keys', () => {
  assert.equal(envelopeSchema.is({ ...sealed(), signatures: [] }), false);
  assert.equal(envelopeSchema.is({ ...sealed(), extra: 1 }), false);
  assert.equal(envelopeSchema.is(sealed()), true);
});
