import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  compareSpecificity,
  coversPattern,
  examplePath,
  matchesPattern,
  normalisePath,
  overlapsPattern,
  parsePattern,
  pathOutside,
  PathTable,
  type PathPattern,
  type PatternFault,
} from '#domain/path';

function pattern(text: string): PathPattern {
  const parsed = parsePattern(text);
  assert.equal(parsed.kind, 'pattern', text);
  return parsed.kind === 'pattern' ? parsed.pattern : assert.fail();
}

const REFUSED: readonly (readonly [text: string, reason: PatternFault])[] = [
  ['', 'not-absolute'],
  ['*', 'not-absolute'],
  ['a/*', 'not-absolute'],
  ['/a*', 'partial-wildcard'],
  ['/*a', 'partial-wildcard'],
  ['/a*b/c', 'partial-wildcard'],
  ['/***', 'partial-wildcard'],
  ['/a/**b', 'partial-wildcard'],
  ['/%2a', 'partial-wildcard'],
  ['/%2A/*', 'partial-wildcard'],
  ['/**/a', 'rest-not-last'],
  ['/a/**/', 'rest-not-last'],
  ['/**/**', 'rest-not-last'],
  ['/users/:id', 'foreign-wildcard'],
  ['/users/{id}', 'foreign-wildcard'],
  ['/users/<id>', 'foreign-wildcard'],
  ['/a//b', 'empty-segment'],
  ['/a//**', 'empty-segment'],
  ['//**', 'empty-segment'],
  ['/a/../b', 'dot-segment'],
  ['/*/..', 'dot-segment'],
  ['/a/%2e%2e/*', 'dot-segment'],
  ['/a%2fb', 'encoded-slash'],
  ['/a;b', 'path-parameter'],
  ['/a?b', 'encoded-question-mark'],
  ['/a#b', 'fragment'],
  ['/a b', 'bad-character'],
  ['/caf\u00e9', 'bad-character'],
  ['/%zz', 'bad-escape'],
  ['/%c0%af/*', 'bad-utf8'],
  [`/${'a/'.repeat(64)}`, 'too-many-segments'],
];

for (const [text, reason] of REFUSED) {
  test(`parsePattern() refuses ${JSON.stringify(text.slice(0, 20))}: ${reason}`, () => {
    assert.deepEqual(parsePattern(text), { kind: 'refused', reason });
  });
}

test('parsePattern() normalises literals and keeps wildcards', () => {
  assert.deepEqual(pattern('/%61/*/caf%c3%a9/**'), {
    text: '/a/*/caf%C3%A9/**',
    segments: ['a', '*', 'caf%C3%A9'],
    rest: true,
  });
  assert.deepEqual(pattern('/'), { text: '/', segments: [''], rest: false });
  assert.deepEqual(pattern('/**'), { text: '/**', segments: [], rest: true });
  assert.deepEqual(pattern('/cart/'), { text: '/cart/', segments: ['cart', ''], rest: false });
});

const MATCHES: readonly (readonly [
  pattern: string,
  matched: readonly string[],
  others: readonly string[],
])[] = [
  ['/', ['/'], ['/a', '/a/']],
  ['/a', ['/a'], ['/', '/a/', '/A', '/ab', '/a/b', '/*']],
  ['/a/', ['/a/'], ['/a', '/a/b', '/a/b/']],
  ['/*', ['/a', '/*', '/%20'], ['/', '/a/', '/a/b']],
  ['/*/', ['/a/'], ['/', '/a', '/a/b']],
  [
    '/products/*',
    ['/products/1'],
    ['/products', '/products/', '/products/1/', '/products/1/2', '/Products/1'],
  ],
  ['/cart/**', ['/cart', '/cart/', '/cart/a', '/cart/a/b', '/cart/a/b/'], ['/', '/carts', '/car', '/a/cart']],
  ['/*/b/**', ['/a/b', '/x/b/c'], ['/b', '/a/c', '/a']],
  ['/**', ['/', '/a', '/a/b/c/'], []],
  ['/*/**', ['/a', '/a/', '/a/b'], ['/']],
];

for (const [text, matched, others] of MATCHES) {
  test(`${text} matches what it says, by itself and in a table`, () => {
    const table = new PathTable<string>();
    table.add(pattern(text), text);
    for (const path of matched) {
      assert.equal(matchesPattern(pattern(text), path), true, path);
      assert.deepEqual(table.match(path), [text], path);
    }
    for (const path of others) {
      assert.equal(matchesPattern(pattern(text), path), false, path);
      assert.deepEqual(table.match(path), [], path);
    }
  });
}

test('a literal * in a path matches only wildcards (CVE-2025-46821)', () => {
  const table = new PathTable<string>();
  table.add(pattern('/a/b'), 'literal');
  table.add(pattern('/a/*'), 'wildcard');
  assert.deepEqual(table.match('/a/*'), ['wildcard']);
  assert.deepEqual(table.match('/*/b'), []);
  assert.deepEqual(table.match('/a/**'), ['wildcard']);
});

test('one character has one spelling: an escaped letter cannot dodge the more specific rule', () => {
  const table = new PathTable<string>();
  table.add(pattern('/files/a@b'), 'guarded');
  table.add(pattern('/files/*'), 'open');
  for (const raw of ['/files/a@b', '/files/a%40b', '/files/%61%40%62', '/f%69les/a@b']) {
    const outcome = normalisePath(raw);
    assert.ok(outcome.kind === 'path');
    assert.equal(table.match(outcome.path)[0], 'guarded', raw);
  }
});

test('PathTable.match() answers the most specific first, equal patterns in the order of addition', () => {
  const table = new PathTable<string>();
  for (const text of ['/**', '/a/**', '/*/b', '/a/*', '/a/b', '/a/b/**', '/*/*', '/*/**'])
    table.add(pattern(text), text);
  table.add(pattern('/a/b'), '/a/b again');
  assert.deepEqual(table.match('/a/b'), [
    '/a/b',
    '/a/b again',
    '/a/b/**',
    '/a/*',
    '/a/**',
    '/*/b',
    '/*/*',
    '/*/**',
    '/**',
  ]);
});

test('PathTable.match() tells apart literals with the same hash', () => {
  const table = new PathTable<string>();
  for (const text of ['/Aa', '/BB']) table.add(pattern(text), text); // equal under h * 31 + c
  assert.deepEqual(table.match('/Aa'), ['/Aa']);
  assert.deepEqual(table.match('/BB'), ['/BB']);
});

const segment = fc.constantFrom('a', 'b', '*', 'c');
const anyPattern = fc
  .record({ segments: fc.array(segment, { maxLength: 4 }), end: fc.constantFrom('', '/', '/**') })
  .map(({ segments, end }) => pattern(segments.length === 0 ? end || '/' : `/${segments.join('/')}${end}`));
const anyPath = fc
  .record({
    segments: fc.array(fc.constantFrom('a', 'b', 'c', 'd', '*'), { maxLength: 6 }),
    end: fc.constantFrom('', '/'),
  })
  .map(({ segments, end }) => (segments.length === 0 ? '/' : `/${segments.join('/')}${end}`));

test('PathTable.match() finds exactly what a scan of all patterns finds, in order of specificity', () => {
  fc.assert(
    fc.property(
      fc.array(anyPattern, { maxLength: 12 }),
      fc.array(anyPath, { maxLength: 12 }),
      (patterns, paths) => {
        const table = new PathTable<PathPattern>();
        for (const each of patterns) table.add(each, each);
        for (const path of paths) {
          const scanned = patterns.filter(each => matchesPattern(each, path)).toSorted(compareSpecificity);
          assert.deepEqual(table.match(path), scanned);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

/** All paths over an alphabet with one segment that no pattern names: enough to tell any two patterns apart. */
const everyPath = ['/'];
for (let shapes = [''], depth = 0; depth < 5; depth++) {
  shapes = shapes.flatMap(shape => ['a', 'b', 'c', 'd'].map(word => `${shape}/${word}`));
  everyPath.push(...shapes, ...shapes.map(shape => `${shape}/`));
}

test('coversPattern() and overlapsPattern() agree with matching all short paths', () => {
  const sample = fc.sample(anyPattern, { numRuns: 60, seed: 7 });
  const matched = new Map(
    sample.map(each => [each, new Set(everyPath.filter(path => matchesPattern(each, path)))]),
  );
  for (const [outer, outerPaths] of matched) {
    for (const [inner, innerPaths] of matched) {
      const message = `${outer.text} and ${inner.text}`;
      assert.equal(coversPattern(outer, inner), innerPaths.isSubsetOf(outerPaths), `covers: ${message}`);
      assert.equal(
        overlapsPattern(outer, inner),
        !innerPaths.isDisjointFrom(outerPaths),
        `overlaps: ${message}`,
      );
    }
  }
});

test('compareSpecificity() puts a pattern before every other that covers it', () => {
  fc.assert(
    fc.property(anyPattern, anyPattern, (a, b) => {
      assert.equal(Math.sign(compareSpecificity(a, b)) + Math.sign(compareSpecificity(b, a)), 0);
      assert.equal(compareSpecificity(a, b) === 0, a.text === b.text);
      if (a.text !== b.text && coversPattern(a, b))
        assert.ok(compareSpecificity(b, a) < 0, `${b.text} before ${a.text}`);
    }),
    { numRuns: 3000 },
  );
});

test('examplePath() is normalised, matched, and follows its seed', () => {
  fc.assert(
    fc.property(anyPattern, fc.nat(), (each, seed) => {
      const path = examplePath(each, seed);
      assert.deepEqual(normalisePath(path), { kind: 'path', path });
      assert.ok(matchesPattern(each, path));
      if (each.rest || each.segments.includes('*')) assert.notEqual(examplePath(each, seed + 1), path);
    }),
  );
});

test('pathOutside() finds a path that no pattern matches whenever there is one', () => {
  fc.assert(
    fc.property(fc.array(anyPattern, { maxLength: 6 }), patterns => {
      const path = pathOutside(patterns);
      if (path === undefined) {
        assert.ok(everyPath.every(each => patterns.some(other => matchesPattern(other, each))));
      } else {
        assert.deepEqual(normalisePath(path), { kind: 'path', path });
        assert.ok(!patterns.some(each => matchesPattern(each, path)));
      }
    }),
    { numRuns: 2000 },
  );
  assert.equal(pathOutside([pattern('/**')]), undefined);
  assert.equal(pathOutside(['/', '/*', '/*/**'].map(pattern)), undefined);
  assert.equal(pathOutside(['/*', '/*/**'].map(pattern)), '/');
  assert.equal(pathOutside([]), '/undeclared');
  assert.equal(pathOutside([pattern('/undeclared')]), '/undeclared-2');
});
