import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatProblem, formatProblems, parseModel, problemsToJson, type Problem } from './index.ts';
import { clipLine, displayWidth, showLine } from './terminal-line.ts';

const at = (line: number, column: number) => ({ file: 'ringwall.yaml', line, column });
const problem = (facts: Partial<Problem> = {}): Problem => ({
  severity: 'error',
  code: 'unknown-key',
  message: '`pth` is not a key of a route',
  at: at(2, 5),
  length: 3,
  hint: 'did you mean `path`?',
  ...facts,
});
const plain = { colour: false };

describe('formatProblem()', () => {
  test('shows place, line, caret and hint', () => {
    assert.equal(
      formatProblem(problem(), 'a: 1\nx: { pth: / }\n', plain),
      'ringwall.yaml:2:5: error: `pth` is not a key of a route\n' +
        '2 | x: { pth: / }\n' +
        '  |     ^^^\n' +
        'hint: did you mean `path`?\n',
    );
  });

  test('shows a warning without hint and length', () => {
    const { hint: _hint, length: _length, ...rest } = problem({ severity: 'warning' });
    assert.equal(
      formatProblem(rest, 'a\n  b c\n', plain),
      'ringwall.yaml:2:5: warning: `pth` is not a key of a route\n2 |   b c\n  |     ^\n',
    );
  });

  for (const [name, line, column, length, shown, carets] of [
    ['tabs', '\tab', 2, 2, '    ab', '    ^^'],
    ['wide letters', '漢字: ab', 5, 2, '漢字: ab', '      ^^'],
    ['a wide letter that is meant', 'a漢b', 2, 1, 'a漢b', ' ^^'],
    ['emoji of two units', '👍 ab', 4, 2, '👍 ab', '   ^^'],
    ['combining marks', 'e\u0301e\u0301 ab', 6, 2, 'e\u0301e\u0301 ab', '   ^^'],
    ['a length beyond the line', 'ab cd', 4, 99, 'ab cd', '   ^^'],
    ['the end of the line', 'ab', 3, 1, 'ab', '  ^'],
    ['CRLF', 'ab\r', 1, 2, 'ab', '^^'],
    ['escape sequences', 'a\u001b[31mb', 7, 1, 'a\ufffd[31mb', '      ^'],
    ['direction overrides', 'a\u202eb', 3, 1, 'a\ufffdb', '  ^'],
  ] as const) {
    test(`puts the caret under ${name}`, () => {
      const text = formatProblem(problem({ at: at(1, column), length, hint: 'h' }), `${line}\nnext\n`, plain);
      assert.deepEqual(text.split('\n').slice(1, 3), [`1 | ${shown}`, `  | ${carets}`]);
    });
  }

  test('cuts a long line around the place', () => {
    const line = `${'x'.repeat(5000)}HERE${'y'.repeat(5000)}`;
    const [, shown, carets] = formatProblem(problem({ at: at(1, 5001), length: 4 }), line, plain).split('\n');
    assert.ok(shown !== undefined && carets !== undefined && shown.length < 180);
    assert.equal(shown.slice(carets.indexOf('^'), carets.lastIndexOf('^') + 1), 'HERE');
  });

  test('shows no line where there is none', () => {
    assert.doesNotMatch(formatProblem(problem({ at: at(1, 1) }), '', plain), /\|/);
    assert.doesNotMatch(formatProblem(problem({ at: at(99, 1) }), 'a\n', plain), /\|/);
  });

  test('colours on request only', () => {
    assert.ok(formatProblem(problem(), 'a\nb\n', { colour: true }).includes('\u001b[1;31merror'));
    assert.ok(!formatProblem(problem(), 'a\nb\n', plain).includes('\u001b'));
  });

  test('sends nothing of a hostile model to the terminal', () => {
    const text = 'apiVersion: "\\e[2Jx"\nsys\u001b]0;pwned\u0007: a\n\u0085\u202e: 1\n';
    const parsed = parseModel({ file: 'm', text, directory: '/' });
    assert.equal(parsed.kind, 'invalid');
    assert.doesNotMatch(
      formatProblems(parsed.problems, text, plain),
      /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/,
    );
  });
});

test('formatProblems() parts problems by an empty line', () => {
  assert.equal(formatProblems([problem(), problem()], 'a\nb\n', plain).split('\n\n').length, 2);
});

test('problemsToJson() gives every problem the same keys', () => {
  const { hint: _hint, length: _length, ...bare } = problem();
  assert.deepEqual(problemsToJson([problem(), bare]), [
    {
      severity: 'error',
      code: 'unknown-key',
      message: '`pth` is not a key of a route',
      file: 'ringwall.yaml',
      line: 2,
      column: 5,
      length: 3,
      hint: 'did you mean `path`?',
    },
    {
      severity: 'error',
      code: 'unknown-key',
      message: '`pth` is not a key of a route',
      file: 'ringwall.yaml',
      line: 2,
      column: 5,
      length: 1,
      hint: null,
    },
  ]);
});

test('displayWidth() counts columns', () => {
  assert.deepEqual(
    ['', 'ab', '漢', 'ﾊ', '한', 'é', 'e\u0301', '👍'].map(displayWidth),
    [0, 2, 2, 1, 2, 1, 1, 2],
  );
});

test('showLine() keeps printable text as it is', () => {
  assert.equal(showLine('a: "ü漢👍" # c'), 'a: "ü漢👍" # c');
});

test('clipLine() keeps a short line whole', () => {
  assert.deepEqual(clipLine('abc', 1, 1), { text: 'abc', start: 1, end: 2 });
});
