import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { member, parseStrictJson, parseStrictObject, type JsonObject } from '#domain/jwt';

const DEPTH = 64;
const fault = (text: string, maxDepth = DEPTH): string => {
  const json = parseStrictJson(text, maxDepth);
  return json.kind === 'refused' ? json.fault : 'none';
};

test('parseStrictJson() reads what JSON.stringify() wrote as JSON.parse() does', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 1), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      assert.deepEqual(parseStrictJson(text, DEPTH), { kind: 'json', value: JSON.parse(text) });
    }),
  );
});

test('parseStrictJson() accepts exactly the texts that JSON.parse() accepts and that repeat no key', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string({
      unit: fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', 'a', '1', ' '),
      maxLength: 24,
    }),
  );
  fc.assert(
    fc.property(texts, text => {
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      assert.equal(fault(text) === 'not-json', !isJson);
    }),
    { numRuns: 2000 },
  );
});

test('parseStrictJson() finds a key that is repeated anywhere, in any spelling', () => {
  const escaped = (key: string) =>
    [...Array(key.length).keys()]
      .map(at => `\\u${key.charCodeAt(at).toString(16).padStart(4, '0')}`)
      .join('');
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.array(fc.constantFrom('[', '{"k":'), { maxLength: 8 }),
      fc.jsonValue({ maxDepth: 3 }),
      fc.boolean(),
      (key, around, value, escapes) => {
        const second = escapes ? `"${escaped(key)}"` : JSON.stringify(key);
        const inner = `{${JSON.stringify(key)}:${JSON.stringify(value)},"${key.length}·":{}, ${second} : 1}`;
        const text = around.reduceRight((nested, open) => open + nested + (open === '[' ? ']' : '}'), inner);
        assert.equal(fault(text), 'duplicate-key');
      },
    ),
  );
});

for (const text of [
  '{"a":1,"a":1}',
  '[{"a":{"b":1,"c":2,"b":3}}]',
  '{"":1,"":2}',
  '{"a":"{","a":1}',
  '{"__proto__":1,"__proto__":2}',
]) {
  test(`parseStrictJson() refuses ${text}`, () => assert.equal(fault(text), 'duplicate-key'));
}
for (const text of [
  '{"a":{"a":1}}',
  '[{"a":1},{"a":1}]',
  '{"a":"a","b":["a","a"]}',
  '{"a":"\\",\\"a\\":1"}',
  '{"a":1,"A":2}',
]) {
  test(`parseStrictJson() accepts ${text}`, () => assert.equal(fault(text), 'none'));
}

test('parseStrictJson() bounds the depth', () => {
  assert.equal(fault('[[[]]]', 3), 'none');
  assert.equal(fault('[[[[]]]]', 3), 'too-deep');
  assert.equal(fault('[{"a":[{}]}]', 3), 'too-deep');
  assert.equal(fault('['.repeat(100_000) + ']'.repeat(100_000), 3), 'too-deep');
});

test('parseStrictJson() takes linear time on hostile text', () => {
  const startMs = performance.now();
  assert.equal(fault(`{"${'\\\\'.repeat(500_000)}":1}`), 'none');
  assert.equal(fault(`[${'"a",'.repeat(300_000)}1]`), 'none');
  assert.ok(performance.now() - startMs < 2000);
});

test('member() sees own properties only', () => {
  const json = parseStrictJson('{"__proto__":{"iss":"evil"}}', DEPTH);
  assert.ok(json.kind === 'json');
  assert.equal(member(json.value as JsonObject, 'iss'), undefined);
  assert.equal(member({}, 'constructor'), undefined);
});

for (const [name, bytes, expected] of [
  ['a list', Buffer.from('[]'), 'not-an-object'],
  ['null', Buffer.from('null'), 'not-an-object'],
  ['text that is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'not-utf-8'],
  ['a byte order mark', Buffer.from('\ufeff{}'), 'not-json'],
  ['nothing', Buffer.alloc(0), 'not-json'],
] as const) {
  test(`parseStrictObject() refuses ${name}`, () => {
    assert.deepEqual(parseStrictObject(bytes, DEPTH), { kind: 'refused', fault: expected });
  });
}
