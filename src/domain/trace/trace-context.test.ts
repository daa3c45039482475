import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { continueTrace, formatTraceparent, readTrace, startTrace } from '#domain/trace';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const PARENT = `00-${TRACE}-${SPAN}-01`;

const REFUSED: readonly (readonly [value: string, why: string])[] = [
  ['', 'empty'],
  ['00', 'cut short'],
  [`00-${TRACE}-${SPAN}`, 'no flags'],
  [`00-${TRACE}-${SPAN}-0`, 'flags cut short'],
  [`00-${TRACE}-${SPAN}-01-`, 'version 00 with a tail'],
  [`00-${TRACE}-${SPAN}-01-what`, 'version 00 with a tail'],
  [`00-${TRACE}-${SPAN}-01, ${PARENT}`, 'twice'],
  [`ff-${TRACE}-${SPAN}-01`, 'version ff'],
  [`FF-${TRACE}-${SPAN}-01`, 'version in upper case'],
  [`0x-${TRACE}-${SPAN}-01`, 'version not hexadecimal'],
  [`.0-${TRACE}-${SPAN}-01`, 'version not hexadecimal'],
  [`0-${TRACE}-${SPAN}-01 `, 'version cut short'],
  [`00-${'0'.repeat(32)}-${SPAN}-01`, 'trace id all zero'],
  [`00-${TRACE}-${'0'.repeat(16)}-01`, 'parent id all zero'],
  [`00-${TRACE.toUpperCase()}-${SPAN}-01`, 'trace id in upper case'],
  [`00-${TRACE}-${SPAN.toUpperCase()}-01`, 'parent id in upper case'],
  [`00-${TRACE.slice(1)}.-${SPAN}-01`, 'trace id not hexadecimal'],
  [`00-${TRACE}-${SPAN.slice(1)}g-01`, 'parent id not hexadecimal'],
  [`00-${TRACE}-${SPAN}-.0`, 'flags not hexadecimal'],
  [`00-${TRACE}-${SPAN}-0X`, 'flags not hexadecimal'],
  [`00_${TRACE}-${SPAN}-01`, 'wrong delimiter'],
  [`00-${TRACE}_${SPAN}-01`, 'wrong delimiter'],
  [`00-${TRACE}-${SPAN}_01`, 'wrong delimiter'],
  [`00-${TRACE}0-${SPAN}-01`, 'trace id too long'],
  [`01-${TRACE}-${SPAN}-01.tail`, 'version 01 with a tail that is not set off'],
];

for (const [value, why] of REFUSED) {
  test(`readTrace() rejects a traceparent: ${why} (${value.slice(0, 12)}…, W3C Trace Context §3.2)`, () => {
    assert.equal(readTrace(value, 'a=1'), undefined);
  });
}

test('readTrace() reads version 00 and keeps only the flags that it knows', () => {
  assert.deepEqual(readTrace(PARENT, undefined), { traceId: TRACE, spanId: SPAN, flags: 1, state: '' });
  assert.equal(readTrace(`00-${TRACE}-${SPAN}-ff`, undefined)?.flags, 3);
  assert.equal(readTrace(`00-${TRACE}-${SPAN}-00`, undefined)?.flags, 0);
  assert.equal(readTrace(undefined, 'a=1'), undefined);
});

test('readTrace() reads a future version as far as 00 goes (§4.3)', () => {
  const expected = { traceId: TRACE, spanId: SPAN, flags: 1, state: '' };
  assert.deepEqual(readTrace(`cc-${TRACE}-${SPAN}-01`, undefined), expected);
  assert.deepEqual(readTrace(`cc-${TRACE}-${SPAN}-03-what-the-future-brings`, undefined), expected);
});

const stateOf = (tracestate: string) => readTrace(PARENT, tracestate)?.state;

for (const state of [
  'foo',
  'foo=',
  '=1',
  'foo=1=2',
  'Foo=1',
  'foo@=1',
  '@foo=1',
  'foo@bar@baz=1',
  'foo=1,foo=2',
  'foo =1',
  'foo=1\u007f',
  'f\u00f6o=1',
  '1foo=1',
  `${'a'.repeat(257)}=1`,
  `a=${'b'.repeat(257)}`,
  `${'t'.repeat(242)}@v=1`,
  `t@${'v'.repeat(15)}=1`,
  Array.from({ length: 33 }, (_, index) => `a${index}=1`).join(','),
  `${','.repeat(70)}bad`.replace(/^,/, 'a=1,b'),
]) {
  test(`readTrace() leaves out the tracestate ${JSON.stringify(state.slice(0, 20))} (W3C Trace Context §3.3)`, () => {
    assert.equal(stateOf(state), '');
  });
}

test('readTrace() passes on a tracestate in one spelling', () => {
  assert.equal(stateOf('foo=1,bar=2'), 'foo=1,bar=2');
  assert.equal(stateOf(' foo=1 \t,\t bar=2 ,, '), 'foo=1,bar=2');
  assert.equal(stateOf('t0@s_-*/=a b'), 't0@s_-*/=a b');
  const thirtyTwo = Array.from({ length: 32 }, (_, index) => `a${index}=1`).join(',');
  assert.equal(stateOf(thirtyTwo), thirtyTwo);
});

test('readTrace() shortens a tracestate by whole members, long ones first (§3.3.1.5)', () => {
  const long = `long=${'x'.repeat(200)}`;
  const short = Array.from({ length: 20 }, (_, index) => `k${index}=${'y'.repeat(16)}`);
  assert.equal(stateOf([long, ...short].join(',')), short.join(','));
  const many = Array.from({ length: 32 }, (_, index) => `k${index}=${'y'.repeat(30)}`);
  const kept = stateOf(many.join(',')) ?? '';
  assert.ok(kept.length <= 512 && kept.length > 450);
  assert.ok(many.join(',').startsWith(`${kept},`));
});

test('continueTrace() keeps the trace and takes a span id of its own', () => {
  const parent = readTrace(PARENT, 'a=1');
  assert.ok(parent !== undefined);
  const child = continueTrace(parent, '01020304050607ff');
  assert.equal(formatTraceparent(child), `00-${TRACE}-01020304050607ff-01`);
  assert.equal(child.state, 'a=1');
});

test('ids are never all zero', () => {
  const trace = startTrace('0'.repeat(48));
  assert.equal(formatTraceparent(trace), `00-${'0'.repeat(31)}1-${'0'.repeat(15)}1-03`);
  assert.throws(() => startTrace('0'.repeat(16)), RangeError);
});

test('what is written is read again as the same trace', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 24, maxLength: 24 }), random => {
      const trace = startTrace(Buffer.from(random).toString('hex'));
      assert.deepEqual(readTrace(formatTraceparent(trace), undefined), trace);
    }),
  );
});

test('readTrace() never throws and never passes on more than it should', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('a', '=', ',', ' ', '@', 'B', '\t') }),
      (traceparent, tracestate) => {
        readTrace(traceparent, tracestate);
        const state = stateOf(tracestate) ?? '';
        assert.equal(stateOf(state), state);
      },
    ),
    { numRuns: 2000 },
  );
});
