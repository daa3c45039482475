import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, Parser, type CST, type ParsedNode } from 'yaml';
import type { Problems, Span } from './problem.ts';

/** A YAML node with its place; scalars keep their text: what it means is the language's business, not YAML's. */
export type SourceNode =
  | ({ readonly kind: 'text'; readonly text: string; readonly plain: boolean } & Span)
  | ({ readonly kind: 'list'; readonly items: readonly ParsedNode[] } & Span)
  | ({ readonly kind: 'map'; readonly pairs: readonly SourcePair[] } & Span);

export type SourcePair = { readonly key: ParsedNode; readonly value: ParsedNode | null };

const MAX_TEXT = 8 * 1024 * 1024;
const MAX_LEXEMES = 1_500_000;
const MAX_DEPTH = 64;
const MAX_SYNTAX_FAULTS = 20;

/**
 * Reads one YAML 1.2 document. Undefined when it is none, has syntax errors or breaks a bound: the problems say why.
 * UNTRUSTED: size, token count and nesting are bounded before nodes are built.
 */
export function readYaml(problems: Problems): ParsedNode | undefined {
  const { text } = problems.source;
  if (text.length > MAX_TEXT) {
    problems.add('too-large', `the file has more than ${MAX_TEXT / 1024 / 1024} MiB`, { start: 0, end: 1 });
    return undefined;
  }
  const tokens = tokenise(text, problems);
  if (tokens === undefined) return undefined;
  // The failsafe schema leaves every scalar a text. Unique keys are checked by the reader of shapes, in linear time.
  const composer = new Composer({
    version: '1.2',
    schema: 'failsafe',
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const [first, second] = composer.compose(tokens, true, text.length);
  if (first === undefined) return undefined;

  const directive =
    first.directives?.yaml.explicit === true ||
    /^%/m.test(text.slice(0, first.contents?.range[0] ?? text.length));
  if (directive) problems.add('yaml-unsupported', 'directives are not part of a model', { start: 0, end: 1 });
  if (second !== undefined) {
    const start = Math.max(0, text.lastIndexOf('\n---', second.contents?.range[0] ?? second.range[0]) + 1);
    problems.add(
      'yaml-unsupported',
      'a model is one document',
      { start, end: start + 3 },
      'put each model into a file of its own',
    );
  }
  reportSyntax(first.errors, problems);
  if (problems.hasErrors) return undefined;
  if (first.contents === null) {
    problems.add(
      'missing-value',
      'the file is empty',
      { start: 0, end: 1 },
      'write a first model with `ringwall init`',
    );
    return undefined;
  }
  return first.contents;
}

function tokenise(text: string, problems: Problems): CST.Token[] | undefined {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    count += 1;
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length > MAX_DEPTH || count > MAX_LEXEMES) {
      const what =
        count > MAX_LEXEMES
          ? 'the file is longer than any model'
          : `nested more than ${MAX_DEPTH} levels deep`;
      problems.add('too-large', what, { start: parser.offset, end: parser.offset + 1 });
      return undefined;
    }
  }
  for (const token of parser.end()) tokens.push(token);
  return tokens;
}

type SyntaxFault = {
  readonly code: string;
  readonly message: string;
  readonly pos: readonly [number, number];
};

function reportSyntax(faults: readonly SyntaxFault[], problems: Problems): void {
  const seen = new Set<number>();
  for (const { code, message, pos } of faults) {
    // One mistake often gives several errors at one line; the first says it.
    const { line } = problems.source.positionAt(pos[0]);
    if (seen.has(line)) continue;
    seen.add(line);
    if (seen.size > MAX_SYNTAX_FAULTS) return;
    const unsupported = code === 'TAG_RESOLVE_FAILED' || code === 'BAD_DIRECTIVE';
    problems.add(
      unsupported ? 'yaml-unsupported' : 'yaml-syntax',
      unsupported
        ? 'tags and directives are not part of a model'
        : message.charAt(0).toLowerCase() + message.slice(1),
      { start: pos[0], end: pos[1] },
      hintFor(code),
    );
  }
}

function hintFor(code: string): string | undefined {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'indent with spaces';
    case 'BAD_INDENT':
      return 'entries of one mapping or list begin in the same column';
    case 'BAD_SCALAR_START':
    case 'MULTILINE_IMPLICIT_KEY':
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'a value with `: `, `#`, `@` or quotes in it is written in quotes';
    default:
      return undefined;
  }
}

/** Undefined for what a model does not use (aliases, anchors, tags): reported. A key without value counts as empty text. */
export function readNode(node: ParsedNode | null, problems: Problems, absent: Span): SourceNode | undefined {
  if (node === null) return { kind: 'text', text: '', plain: true, ...absent };
  const span = spanOf(node);
  if (isAlias(node)) {
    problems.add('yaml-unsupported', 'aliases are not part of a model', span, 'write the value out');
    return undefined;
  }
  if (node.anchor !== undefined || node.tag !== undefined) {
    const what = node.tag === undefined ? 'anchors' : 'tags';
    problems.add('yaml-unsupported', `${what} are not part of a model`, span);
    return undefined;
  }
  if (isScalar(node)) {
    return {
      kind: 'text',
      text: typeof node.value === 'string' ? node.value : '',
      plain: node.type === 'PLAIN',
      ...span,
    };
  }
  if (isSeq(node)) return { kind: 'list', items: node.items, ...span };
  if (isMap(node)) return { kind: 'map', pairs: node.items, ...span };
  return undefined;
}

export function spanOf(node: ParsedNode): Span {
  const [start, end] = node.range;
  return { start, end: Math.max(end, start + 1) };
}
