import { parsePattern, type PathPattern, type PatternFault } from '#domain/path';
import type { Parsed, Wrong } from './grammar.ts';
import type { Position, Protocol } from './model.ts';
import type { Problems, Span } from './problem.ts';
import { suggest } from './read-shape.ts';
import type { Text } from './shape.ts';

/** What the readers of a model's parts share: where problems go, and the names that a part may refer to. */
export class Reading {
  readonly problems: Problems;
  /** Absolute folder of the model file. */
  readonly directory: string;
  /** Every declared service; the protocol is undefined where it was not readable. */
  readonly protocols: ReadonlyMap<string, Protocol | undefined>;
  readonly #patterns = new Map<string, PathPattern | PatternFault>();

  constructor(problems: Problems, directory: string, protocols: ReadonlyMap<string, Protocol | undefined>) {
    this.problems = problems;
    this.directory = directory;
    this.protocols = protocols;
  }

  at(span: Span): Position {
    return this.problems.source.positionAt(span.start);
  }

  /** The value of a small language, or undefined after its problem was reported. */
  take<T>(text: Text, result: Parsed<T>): T | undefined {
    if (result.kind === 'parsed') return result.value;
    reportWrong(text, result, this.problems);
    return undefined;
  }

  /** @param index where in `text` the pattern begins; it is the rest of it */
  pattern(text: Text, index = 0): PathPattern | undefined {
    const written = text.text.slice(index);
    let pattern = this.#patterns.get(written);
    if (pattern === undefined) {
      const result = parsePattern(written);
      pattern = result.kind === 'pattern' ? result.pattern : result.reason;
      this.#patterns.set(written, pattern);
    }
    if (typeof pattern !== 'string') return pattern;
    const [message, hint] = PATH_FAULTS[pattern];
    reportWrong(
      text,
      {
        kind: 'wrong',
        code: 'bad-path',
        message,
        index,
        length: written.length,
        ...(hint === undefined ? {} : { hint }),
      },
      this.problems,
    );
    return undefined;
  }

  /** Whether the named service exists; reports when not. */
  isDeclared(name: Text): boolean {
    if (this.protocols.has(name.text)) return true;
    const hint = suggest(name.text, this.protocols.keys(), this.problems);
    this.problems.add('unknown-service', `no service is called \`${name.text}\``, name, hint);
    return false;
  }
}

/** What the faults of `#domain/path` mean in a pattern, and what would be right. */
const PATH_FAULTS: Readonly<Record<PatternFault, readonly [string, string?]>> = {
  'not-absolute': ['a path begins with `/`'],
  'bad-character': ['a character that no path may hold (RFC 3986 §3.3)', 'write it percent-encoded'],
  'bad-escape': ['`%` is followed by two hexadecimal digits'],
  'bad-utf8': ['escapes that are not valid UTF-8'],
  'control-character': ['control characters are refused in every request'],
  'empty-segment': ['an empty segment: `//` is refused in every request', 'write one `/`'],
  'dot-segment': ['`.` and `..` are refused in every request'],
  'encoded-slash': ['an encoded `/` is refused in every request'],
  backslash: ['a backslash is refused in every request'],
  'path-parameter': ['`;` is refused in every request'],
  fragment: ['`#` never reaches a server'],
  'encoded-question-mark': ['an encoded `?` is refused in every request'],
  'double-encoding': ['a doubly encoded character is refused in every request'],
  'partial-wildcard': ['`*` stands for a whole segment', 'write `/files/*`, not `/files/*.png`'],
  'rest-not-last': ['`**` stands at the end only', 'write `*` for one segment'],
  'foreign-wildcard': ['one segment of any text is written `*`', 'write `/users/*`'],
  'too-many-segments': ['more segments than a pattern may have'],
};

/** Reports what a small language refused, at the part of the text that is wrong. */
function reportWrong(text: Text, { code, message, index, length, hint }: Wrong, problems: Problems): void {
  problems.add(code, message, partOf(text, index, length, problems), hint);
}

/** Where a part of a value stands in the source: exact unless escapes or folded lines lie between. */
function partOf(text: Text, index: number, length: number, problems: Problems): Span {
  const written = problems.source.text.slice(text.start, text.end);
  const inset = written.startsWith(text.text) ? 0 : written.startsWith(text.text, 1) ? 1 : undefined;
  if (inset === undefined) return text;
  const start = text.start + inset + index;
  return { start, end: start + length };
}
