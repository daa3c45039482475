import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError, hasCode, quote } from '#base/error';

test('quote() shows text in backticks', () => assert.equal(quote('shop.test'), '`shop.test`'));

const steering = [
  '\u0000',
  '\n',
  '\r',
  '\u001b[31m',
  '\u007f',
  '\u009b',
  '`',
  '\u2028',
  '\u202e',
  '\u2066',
  '\u200f',
];
for (const text of steering) {
  test(`quote() lets nothing steer the reader: ${JSON.stringify(text)}`, () => {
    const shown = quote(`a${text}b`);
    assert.match(shown, /^`[\x20-\x5f\x61-\x7e]*`$/);
    assert.match(shown, /\\u[0-9a-f]{4}/);
  });
}

test('quote() cuts what is long', () => assert.equal(quote('x'.repeat(1000)).length, 83));

test('hasCode() reads our codes and those of the system', () => {
  class ProbeError extends CodedError<'probe'> {}
  assert.equal(hasCode(new ProbeError('probe', 'x'), 'probe'), true);
  assert.equal(new ProbeError('probe', 'x').name, 'ProbeError');
  assert.equal(hasCode(Object.assign(new Error('x'), { code: 'ENOENT' }), 'ENOENT'), true);
  assert.equal(hasCode(new Error('x'), 'probe'), false);
  assert.equal(hasCode('probe', 'probe'), false);
  assert.equal(hasCode(undefined, 'probe'), false);
});
