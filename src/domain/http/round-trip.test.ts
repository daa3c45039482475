import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  decodeRequestHead,
  decodeResponseHead,
  DEFAULT_LIMITS,
  encodeRequestHead,
  encodeResponseHead,
  HeaderList,
  type Framing,
} from '#domain/http';

const name = fc.stringMatching(/^[a-z0-9!#$%&'*+\-.^_`|~]{1,20}$/);
const value = fc
  .string({ unit: fc.constantFrom(...'abcXYZ019 \t,;:="\\{}()<>@/?[]~!'.split('')), maxLength: 40 })
  .map(text => text.replace(/^[ \t]+|[ \t]+$/g, ''));
const headers = fc
  .uniqueArray(fc.tuple(name, value), { selector: ([name]) => name, maxLength: 20 })
  .map(fields => fields.filter(([name]) => !MEANING.has(name)));

/** Names whose values mean something to the decoder; random ones would be refused. */
const MEANING = new Set([
  'host',
  'te',
  'connection',
  'expect',
  'upgrade',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'proxy-connection',
  'http2-settings',
  'proxy-authorization',
  'proxy-authenticate',
  'proxy-authentication-info',
]);

const framing = fc.oneof(
  fc.constant<Framing>({ kind: 'none' }),
  fc.constant<Framing>({ kind: 'chunked' }),
  fc.maxSafeNat().map((bytes): Framing => ({ kind: 'length', bytes })),
);
const authority = fc.constantFrom(
  'a',
  'shop.test',
  'shop.test:4443',
  '10.0.0.1:1',
  '[::1]',
  '[2001:db8::1]:443',
);
const target = fc.stringMatching(/^\/[a-zA-Z0-9/%._~!$&'()*+,;=:@?-]{0,60}$/);

function listOf(fields: readonly (readonly [string, string])[]): HeaderList {
  const list = new HeaderList();
  for (const [name, value] of fields) list.push(name, value);
  return list;
}

test('what encodeRequestHead() writes is decoded as the same request', () => {
  fc.assert(
    fc.property(target, authority, headers, framing, (target, authority, fields, framing) => {
      const encoded = encodeRequestHead({
        method: 'DELETE',
        target,
        authority,
        headers: listOf(fields),
        framing,
      });
      const buffer = Buffer.from(encoded, 'latin1');
      const decoded = decodeRequestHead(buffer, 0, buffer.length, DEFAULT_LIMITS);
      assert.ok(decoded.kind === 'head', JSON.stringify(decoded));
      assert.equal(decoded.consumed, buffer.length);
      assert.equal(decoded.head.target, target);
      assert.equal(decoded.head.rawPath + decoded.head.rawQuery, target);
      assert.equal(decoded.head.authority, authority);
      assert.deepEqual(decoded.head.framing, framing);
      const written = [...decoded.head.headers.entries()].filter(([name]) => !MEANING.has(name));
      assert.deepEqual(written, fields);
    }),
    { numRuns: 500 },
  );
});

test('what encodeResponseHead() writes is decoded as the same response', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 205, max: 599 }),
      headers,
      framing,
      fc.boolean(),
      (status, fields, framing, keepAlive) => {
        fc.pre(status !== 304);
        const encoded = encodeResponseHead({ status, headers: listOf(fields), framing, keepAlive });
        const buffer = Buffer.from(encoded, 'latin1');
        const decoded = decodeResponseHead(
          buffer,
          0,
          buffer.length,
          DEFAULT_LIMITS,
          framing.kind === 'none' ? 'HEAD' : 'GET',
        );
        assert.ok(decoded.kind === 'head', JSON.stringify(decoded));
        assert.equal(decoded.consumed, buffer.length);
        assert.equal(decoded.head.status, status);
        assert.equal(decoded.head.keepAlive, keepAlive);
        assert.deepEqual(decoded.head.framing, framing);
        const written = [...decoded.head.headers.entries()].filter(([name]) => !MEANING.has(name));
        assert.deepEqual(written, fields);
      },
    ),
    { numRuns: 500 },
  );
});
