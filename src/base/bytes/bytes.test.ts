import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeBase64,
  decodeBase64Url,
  decodeHex,
  encodeBase64,
  encodeBase64Url,
  encodeHex,
  equalBytes,
  sha256,
} from '#base/bytes';

const codecs = [
  { name: 'base64', encode: encodeBase64, decode: decodeBase64 },
  { name: 'base64url', encode: encodeBase64Url, decode: decodeBase64Url },
  { name: 'hex', encode: encodeHex, decode: decodeHex },
];

for (const { name, encode, decode } of codecs) {
  test(`${name} decodes what it encoded`, () => {
    fc.assert(
      fc.property(fc.uint8Array(), bytes =>
        assert.deepEqual(new Uint8Array(decode(encode(bytes)) ?? []), bytes),
      ),
    );
  });

  test(`${name} accepts no second spelling of the same bytes`, () => {
    fc.assert(
      fc.property(fc.string(), text => {
        const bytes = decode(text);
        if (bytes !== undefined) assert.equal(encode(bytes), text);
      }),
    );
  });
}

for (const text of ['QQ', 'QQ=', 'QR==', 'QQ== ', 'QQ\n==', '_-8=', 'Q===']) {
  test(`decodeBase64() rejects ${JSON.stringify(text)}`, () => assert.equal(decodeBase64(text), undefined));
}
for (const text of ['QQ==', 'QR', 'QQ ', ' QQ', '+/8', 'QQ\n', 'Q']) {
  test(`decodeBase64Url() rejects ${JSON.stringify(text)}`, () =>
    assert.equal(decodeBase64Url(text), undefined));
}
for (const text of ['0', '0G', 'AB', '0x', ' 00']) {
  test(`decodeHex() rejects ${JSON.stringify(text)}`, () => assert.equal(decodeHex(text), undefined));
}

test('equalBytes() compares content and length', () => {
  assert.equal(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), true);
  assert.equal(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)), false);
  assert.equal(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0)), false);
});

test('sha256() gives the digest of FIPS 180-4 for "abc"', () => {
  assert.equal(encodeHex(sha256('abc')), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
