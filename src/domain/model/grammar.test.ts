import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  parseCall,
  parseLimit,
  parseListen,
  parseLockout,
  parseSize,
  splitCommand,
  type Parsed,
} from './grammar.ts';
import { parseIssuerUrl, parseOrigin } from './origin.ts';
import type { Field, Shape, TextShape } from './shape.ts';
import { MODEL } from './vocabulary.ts';

const value = <T>(result: Parsed<T>): T => {
  assert.equal(result.kind, 'parsed', JSON.stringify(result));
  return result.value;
};
const code = (result: Parsed<unknown>): string => (result.kind === 'wrong' ? result.code : 'parsed');

describe('splitCommand()', () => {
  for (const [text, words] of [
    ['node a.js', ['node', 'a.js']],
    ['  node   a.js  ', ['node', 'a.js']],
    [`node "a b" 'c d'`, ['node', 'a b', 'c d']],
    [`node a"b c"d`, ['node', 'ab cd']],
    [`node "" ''`, ['node', '', '']],
    [String.raw`node a\ b "q\"q" 's\s'`, ['node', 'a b', 'q"q', String.raw`s\s`]],
    [`sh -c "a | b && $C"`, ['sh', '-c', 'a | b && $C']],
    ['node --a=*?~', ['node', '--a=*?~']],
  ] as const) {
    test(`splits ${text}`, () => assert.deepEqual(value(splitCommand(text)), words));
  }

  for (const [text, expected] of [
    ['', 'malformed'],
    ['   ', 'malformed'],
    [`""`, 'malformed'],
    [`node "a`, 'malformed'],
    ['a && b', 'shell-syntax'],
    ['a > b', 'shell-syntax'],
    ['a; b', 'shell-syntax'],
    ['a $(b)', 'shell-syntax'],
    ['a `b`', 'shell-syntax'],
    ['a &', 'shell-syntax'],
  ] as const) {
    test(`refuses ${text}`, () => assert.equal(code(splitCommand(text)), expected));
  }

  test('gives back any words that were put in single quotes', () => {
    const word = fc.string({ maxLength: 10 }).filter(text => !text.includes("'"));
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), ([first, ...rest]) => {
        const words = [`p${first}`, ...rest];
        assert.deepEqual(value(splitCommand(words.map(text => `'${text}'`).join(' '))), words);
      }),
    );
  });
});

describe('the small languages refuse', () => {
  const cases: readonly (readonly [(text: string) => Parsed<unknown>, readonly string[]])[] = [
    [
      parseLimit,
      [
        '20',
        '20/s',
        '20/s per',
        '20/s  per client',
        ' 20/s per client',
        '-1/s per client',
        '1.5/s per client',
        '1e3/s per client',
        '20/s burst per client',
        '20/s burst 0 per client',
        '20 /s per client',
        '20/s per client\n',
        '٣/s per client',
        '9999999999/s per client',
      ],
    ],
    [
      parseLockout,
      [
        '5',
        '5 failures',
        '5 failures in 10 per client',
        '5 failures in 10m',
        '0 failures in 10m per client',
        '5 failures in 0m per client',
        '5 failures in 10m per client or account',
        '5 failures in 10m per client and account and client',
        '5 failures in 31d per client',
      ],
    ],
    [parseSize, ['', '1', 'KiB', '1 KiB', '1kib', '1KB', '-1B', '1.5MiB', '65GiB', '1KiB ', '0x10B']],
    [
      text => parseListen(text, ['http', 'tcp']),
      [
        '',
        'http',
        '8080',
        'http  8080',
        'http 0',
        'http 65536',
        'http 08080',
        'http 1e3',
        'HTTP 80',
        'udp 53',
        'http 80 81',
      ],
    ],
    [
      parseCall,
      [
        '',
        'GET',
        '/a',
        'GET  /a',
        'get /a',
        'GET a',
        'GET /a b',
        'CONNECT /a',
        'Connect',
        'TRACE /',
        '* /a',
        'connect /a',
      ],
    ],
    [
      parseOrigin,
      [
        '',
        'https',
        'https://',
        'https:bank.example',
        '//bank.example',
        'ftp://a',
        'https://a/',
        'https://a?',
        'https://a#',
        'https://a@b',
        'https://*.a',
        'http://a',
        'http://localhost.evil',
        'http://127.0.0.1.evil',
        'http://0.0.0.0',
        'http://2130706433',
        'https://a:99999',
        'https://a:0443',
        'https://ä.example',
        ' https://a',
        'https://a b',
      ],
    ],
    [
      parseIssuerUrl,
      [
        '',
        'id',
        'http://id',
        'https://id?x',
        'https://id#x',
        'https://id?',
        'https://u@id',
        'data:x',
        'file:///etc',
      ],
    ],
  ];
  for (const [parse, texts] of cases) {
    for (const text of texts) test(JSON.stringify(text), () => assert.notEqual(code(parse(text)), 'parsed'));
  }
});

describe('the small languages accept', () => {
  test('limits', () => {
    assert.deepEqual(value(parseLimit('20/s burst 40 per client')), {
      requests: 20,
      perMs: 1000,
      burst: 40,
      per: 'client',
      text: '20/s burst 40 per client',
    });
    assert.deepEqual(value(parseLimit('1000/d per route')).burst, 1000);
    assert.equal(value(parseLimit('7/m per user')).perMs, 60_000);
  });
  test('lockouts', () => {
    const { failures, windowMs, per } = value(parseLockout('1 failure in 30d per account and client'));
    assert.deepEqual([failures, windowMs, per], [1, 30 * 86_400_000, ['account', 'client']]);
  });
  test('sizes', () => {
    assert.deepEqual(
      ['0B', '512B', '64KiB', '1MiB', '64GiB'].map(text => value(parseSize(text))),
      [0, 512, 65_536, 1_048_576, 64 * 1024 ** 3],
    );
  });
  test('origins', () => {
    for (const text of [
      'https://bank.example',
      'https://bank.example:8443',
      'http://127.0.0.1:4445',
      'http://localhost',
      'http://[::1]:81',
      'https://xn--4ca.example',
      'https://[2001:db8::1]',
    ]) {
      assert.equal(value(parseOrigin(text)), text);
    }
  });
  test('issuers, exactly as written', () => {
    for (const text of [
      'https://id.example',
      'https://id.example/',
      'https://id.example/realms/A',
      'http://127.0.0.1:4445',
    ]) {
      assert.equal(value(parseIssuerUrl(text)), text);
    }
  });
});

describe('the published patterns accept what the parsers accept', () => {
  const shapes = new Map<string, TextShape>();
  const collect = (shape: Shape): void => {
    if (shape.kind === 'text') shapes.set(shape.what, shape);
    else if (shape.kind === 'list') collect(shape.of);
    else if (shape.kind === 'map') collect(shape.value);
    else if (shape.kind === 'either') shape.of.forEach(collect);
    else if (shape.kind === 'object')
      Object.values(shape.fields).forEach((field: Field<Shape>) => collect(field.shape));
  };
  collect(MODEL);

  const number = fc.oneof(fc.nat({ max: 100_000 }).map(String), fc.constantFrom('0', '007', '-1', '1.5', ''));
  const words = (...options: string[]) => fc.constantFrom(...options);
  const joined = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map(texts => texts.join(''));
  const host = words('a', 'a.example', 'localhost', '127.0.0.1', '[::1]', 'A', '*', 'ä', '');
  const languages: readonly (readonly [RegExp, (text: string) => Parsed<unknown>, fc.Arbitrary<string>])[] = [
    [
      /^a limit/,
      parseLimit,
      joined(
        number,
        words('/', ' / '),
        words('s', 'm', 'h', 'd', 'w'),
        words('', ' burst 5', ' burst 0', ' burst'),
        words(' per ', ' '),
        words('client', 'user', 'route', 'x'),
      ),
    ],
    [
      /^a lockout/,
      parseLockout,
      joined(
        number,
        words(' failures in ', ' failure in ', ' in '),
        number,
        words('s', 'm', 'y'),
        words(' per ', ' '),
        words('client', 'account', 'user'),
        words('', ' and client', ' and account', ' and'),
      ),
    ],
    [/^a size/, parseSize, joined(number, words('B', 'KiB', 'MiB', 'GiB', 'KB', ''))],
    [
      /^a protocol/,
      text => parseListen(text, ['http', 'grpc', 'tcp']),
      joined(words('http', 'grpc', 'tcp', 'udp'), words(' ', '  ', ':'), number),
    ],
    [
      /^a call/,
      parseCall,
      joined(
        words('GET', 'POST', 'get', 'connect', ''),
        words(' ', '', '  '),
        words('/', '/a/*', '/**', 'a', '/a%20', ''),
      ),
    ],
    [
      /^an origin/,
      parseOrigin,
      joined(
        words('https://', 'http://', 'ftp://', ''),
        host,
        words('', ':80', ':4445', ':x', '/', '/a', '?', '#'),
      ),
    ],
    [
      /^an issuer/,
      parseIssuerUrl,
      joined(words('https://', 'http://', 'local', ''), host, words('', ':4445', '/', '/a', '?', '#')),
    ],
  ];
  for (const [what, parse, texts] of languages) {
    test(String(what), () => {
      const shape = [...shapes.values()].find(
        candidate => what.test(candidate.what) && candidate.check === 'grammar',
      );
      assert.ok(shape !== undefined);
      let accepted = 0;
      fc.assert(
        fc.property(texts, text => {
          if (parse(text).kind !== 'parsed') return;
          accepted += 1;
          assert.match(text, shape.pattern);
        }),
        { numRuns: 1500 },
      );
      assert.ok(accepted > 10, 'the generator must also make good ones');
    });
  }
});
