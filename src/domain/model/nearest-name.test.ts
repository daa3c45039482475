import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nearestName } from './nearest-name.ts';

describe('nearestName()', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 3, maxLength: 8 });

  test('finds the nearest, as the plain algorithm does', () => {
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 8 }), (typed, known) => {
        const bound = Math.max(1, Math.floor(typed.length / 3));
        const distances = known.map(name => plainDistance(typed, name));
        const least = Math.min(...distances, Number.POSITIVE_INFINITY);
        const expected = least <= bound ? known[distances.indexOf(least)] : undefined;
        assert.equal(nearestName(typed, known), expected);
      }),
      { numRuns: 2000 },
    );
  });

  for (const [typed, known, expected] of [
    ['catalgo', ['catalog', 'cart'], 'catalog'],
    ['ctaalog', ['catalog'], 'catalog'],
    ['Frontend', ['frontend'], 'frontend'],
    ['x', ['y'], 'y'],
    ['payment', ['shipping'], undefined],
    ['', ['a'], 'a'],
    ['a'.repeat(65), ['a'.repeat(65)], undefined],
  ] as const) {
    test(`takes ${typed} for ${String(expected)}`, () => assert.equal(nearestName(typed, known), expected));
  }
});

function plainDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i += 1) {
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, at(i - 2, j - 2) + 1);
      const row = rows[i];
      if (row !== undefined) row[j] = least;
    }
  }
  return at(a.length, b.length);
}
