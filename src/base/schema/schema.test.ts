import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '#base/error';
import { closed, compileSchema, Type } from '#base/schema';

const point = compileSchema(
  'point',
  closed({ name: Type.String({ maxLength: 3 }), port: Type.Optional(Type.Integer()) }),
);

test('parse() gives the value of the declared shape', () => {
  assert.deepEqual(point.parse('{"name":"a","port":1}'), { name: 'a', port: 1 });
});

for (const [json, code] of [
  ['{"name":"a"', 'not-json'],
  ['', 'not-json'],
  ['{}', 'wrong-shape'],
  ['null', 'wrong-shape'],
  ['[]', 'wrong-shape'],
  ['{"name":"abcd"}', 'wrong-shape'],
  ['{"name":1}', 'wrong-shape'],
  ['{"name":"a","port":"1"}', 'wrong-shape'],
  ['{"name":"a","extra":true}', 'wrong-shape'],
  ['{"name":"a","__proto__":{}}', 'wrong-shape'],
] as const) {
  test(`parse() rejects ${json === '' ? 'nothing' : json}`, () => {
    assert.throws(
      () => point.parse(json),
      error => hasCode(error, code),
    );
    if (code === 'wrong-shape') assert.equal(point.is(JSON.parse(json)), false);
  });
}
