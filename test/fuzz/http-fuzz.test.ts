import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRequestHead, encodeRequestHead, HTTP_FAULTS } from '#domain/http';
import { checkRequest, type RequestCodec } from './http-properties.ts';
import { fuzzHttp } from './http.fuzz.ts';

test('a second of changed messages breaks no property of the HTTP codec', () => {
  const { cases, outcomes } = fuzzHttp({ seconds: 1, seed: 20_260_101 });
  assert.ok(cases > 1_000, `${cases} cases`);
  // Positive control: the changes are neither all harmless nor all refused at the door.
  assert.ok((outcomes.get('read') ?? 0) > cases / 50, 'too few are read');
  const faults = Object.keys(HTTP_FAULTS).filter(fault => outcomes.has(fault));
  assert.ok(faults.length > 25, `only these faults were met: ${faults.join(', ')}`);
});

test('the same seed gives the same cases', () => {
  const run = () => fuzzHttp({ seconds: 60, seed: 5, maxCases: 500 });
  assert.deepEqual(run(), run());
});

const POST = Buffer.from('POST /a HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 5\r\n\r\nhello');

test('positive control: the properties hold for the codec and fail for broken ones', () => {
  const cuts = [3, 30];
  const real: RequestCodec = { decode: decodeRequestHead, encode: encodeRequestHead };
  assert.equal(checkRequest(POST, cuts, real).outcome, 'read');
  const broken: Readonly<Record<string, RequestCodec>> = {
    'judges a piece as if it were the whole': {
      ...real,
      decode: (buffer, start, end, limits) => {
        const decoded = decodeRequestHead(buffer, start, end, limits);
        return decoded.kind === 'incomplete'
          ? { kind: 'refused', reason: 'malformed-request', fault: 'bad-name' }
          : decoded;
      },
    },
    'loses a field': { ...real, encode: head => encodeRequestHead(head).replace('x: y\r\n', '') },
    'changes the target': { ...real, encode: head => encodeRequestHead(head).replace('/a', '/b') },
    'changes the length': {
      ...real,
      encode: head => encodeRequestHead(head).replace('length: 5', 'length: 4'),
    },
    'lets a second request through': {
      ...real,
      encode: head => `${encodeRequestHead(head)}GET / HTTP/1.1\r\n`,
    },
    'writes both lengths': {
      ...real,
      encode: head => encodeRequestHead(head).replace('x: y', 'transfer-encoding: chunked'),
    },
    throws: {
      ...real,
      decode: () => {
        throw new TypeError('undefined is not a function');
      },
    },
  };
  for (const [fault, codec] of Object.entries(broken)) {
    assert.throws(() => checkRequest(POST, cuts, codec), Error, fault);
  }
});
