import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { accountOf } from '#service/identity';

const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';
const read = (body: string | Buffer, type: string | undefined = JSON_TYPE, field = 'name') =>
  accountOf(Buffer.from(body), type, field);

const accepted: readonly (readonly [string, string, string | undefined, string])[] = [
  ['JSON', '{"name":"alice","password":"x"}', JSON_TYPE, 'alice'],
  ['JSON with a charset', '{"name":"alice"}', 'Application/JSON; charset="UTF-8"', 'alice'],
  ['a whole number', '{"name":42}', JSON_TYPE, '42'],
  ['a form', 'name=alice&password=x', FORM_TYPE, 'alice'],
  ['an encoded form', 'password=x&n%61me=%61lice+b', `${FORM_TYPE};charset=utf-8`, 'alice b'],
  ['other case and outer spaces', '{"name":" ALICE\\t"}', JSON_TYPE, 'alice'],
  ['compatible letters', '{"name":"ａｌｉｃｅ"}', JSON_TYPE, 'alice'],
];
for (const [name, body, type, account] of accepted) {
  test(`accountOf() reads ${name}`, () => assert.equal(read(body, type), account));
}

const refused: readonly (readonly [string, string | Buffer, string | undefined])[] = [
  ['no content type', '{"name":"alice"}', undefined],
  ['another content type', 'name=alice', 'text/plain'],
  ['multipart', '--x\r\n', 'multipart/form-data; boundary=x'],
  ['another charset', '{"name":"alice"}', 'application/json; charset=utf-7'],
  ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), JSON_TYPE],
  ['compressed bytes', Buffer.from('1f8b0800', 'hex'), JSON_TYPE],
  ['no JSON', 'name=alice', JSON_TYPE],
  ['a list', '[{"name":"alice"}]', JSON_TYPE],
  ['a JSON field that is missing', '{"user":"alice"}', JSON_TYPE],
  ['a JSON field in other case', '{"Name":"alice"}', JSON_TYPE],
  ['a JSON field that is there twice', '{"name":"alice","name":"bob"}', JSON_TYPE],
  ['a JSON field that is there twice, once escaped', '{"name":"alice","n\\u0061me":"bob"}', JSON_TYPE],
  ['a list of accounts', '{"name":["alice"]}', JSON_TYPE],
  ['an object', '{"name":{"$ne":null}}', JSON_TYPE],
  ['a fraction', '{"name":1.5}', JSON_TYPE],
  ['null', '{"name":null}', JSON_TYPE],
  ['spaces only', '{"name":"  "}', JSON_TYPE],
  ['more than 256 characters', `{"name":"${'a'.repeat(257)}"}`, JSON_TYPE],
  ['a ligature that grows beyond 256 characters', `{"name":"${'ﷺ'.repeat(200)}"}`, JSON_TYPE],
  ['a form field that is missing', 'user=alice', FORM_TYPE],
  ['a form field that is there twice', 'name=alice&name=bob', FORM_TYPE],
  ['a form field that is there twice, once encoded', 'name=alice&%6eame=bob', FORM_TYPE],
  ['nothing', '', FORM_TYPE],
];
for (const [name, body, type] of refused) {
  test(`accountOf() refuses ${name}`, () =>
    assert.equal(accountOf(Buffer.from(body), type, 'name'), undefined));
}
test('accountOf() refuses an inherited field', () =>
  assert.equal(read('{}', JSON_TYPE, 'constructor'), undefined));

test('accountOf() gives one name to what it gave once: it is its own normal form', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), name => {
      const account = read(JSON.stringify({ name }));
      if (account !== undefined) assert.equal(read(JSON.stringify({ name: account })), account);
    }),
  );
});

test('accountOf() never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom(JSON_TYPE, FORM_TYPE), (body, type) => {
      accountOf(Buffer.from(body), type, 'name');
    }),
  );
});
