import { assertNever, quote } from '#base/error';
import { nearestName } from './nearest-name.ts';
import type { Problems, Span } from './problem.ts';
import type {
  ChoiceShape,
  Fields,
  ListShape,
  MapShape,
  ObjectShape,
  Read,
  Shape,
  PlainShape,
  Text,
  TextShape,
  Value,
  WholeShape,
} from './shape.ts';
import { readNode, spanOf, type SourceNode, type SourcePair } from './yaml-source.ts';
import type { ParsedNode } from 'yaml';

/**
 * Reads a YAML node as `shape` says. Everything that differs is reported, and reading goes on beside it.
 *
 * @param absent where to point when the node is empty: its key
 */
export function readShape<S extends Shape>(
  node: ParsedNode | null,
  shape: S,
  problems: Problems,
  absent: Span,
): Read<S> | undefined {
  // Each reader below returns what `Read` says of its kind; the compiler cannot follow a conditional type that far.
  return readAny(node, shape, problems, absent) as Read<S> | undefined;
}

function readAny(node: ParsedNode | null, shape: Shape, problems: Problems, absent: Span): Value | undefined {
  const source = readNode(node, problems, absent);
  return source && readSource(source, shape, problems, absent);
}

function readSource(source: SourceNode, shape: Shape, problems: Problems, absent: Span): Value | undefined {
  if (shape.kind === 'either') {
    const fitting = shape.of.find(option => nodeKind(option) === source.kind);
    if (fitting === undefined || isNothing(source)) return refuseKind(source, shape, problems, absent);
    return readSource(source, fitting, problems, absent);
  }
  if (source.kind !== nodeKind(shape) || isNothing(source))
    return refuseKind(source, shape, problems, absent);
  switch (shape.kind) {
    case 'text':
      return readText(source as SourceText, shape, problems);
    case 'choice':
      return readChoice(source as SourceText, shape, problems);
    case 'whole':
      return readWhole(source as SourceText, shape, problems);
    case 'list':
      return readList(source as SourceList, shape, problems);
    case 'map':
      return readMap(source as SourceMap, shape, problems);
    case 'object':
      return readObject(source as SourceMap, shape, problems, absent);
    default:
      return assertNever(shape);
  }
}

type SourceText = Extract<SourceNode, { kind: 'text' }>;
type SourceList = Extract<SourceNode, { kind: 'list' }>;
type SourceMap = Extract<SourceNode, { kind: 'map' }>;

function nodeKind(shape: PlainShape): SourceNode['kind'] {
  switch (shape.kind) {
    case 'text':
    case 'choice':
    case 'whole':
      return 'text';
    case 'list':
      return 'list';
    case 'map':
    case 'object':
      return 'map';
    default:
      return assertNever(shape);
  }
}

function isNothing(source: SourceNode): boolean {
  return source.kind === 'text' && source.plain && /^(?:|~|null|Null|NULL)$/.test(source.text);
}

function refuseKind(source: SourceNode, shape: Shape, problems: Problems, absent: Span): undefined {
  const wanted = describe(shape);
  if (isNothing(source)) {
    problems.add(
      'missing-value',
      `expected ${wanted}, found nothing`,
      absent,
      'write a value, or leave the key out',
    );
    return undefined;
  }
  const found = { text: 'a text', list: 'a list', map: 'a mapping' }[source.kind];
  const hint =
    source.kind === 'text' && shape.kind === 'list' && source.text.length <= 80
      ? `write [${source.text.trim()}]`
      : undefined;
  const end = source.kind === 'text' ? source.end : source.start + 1;
  problems.add('wrong-type', `expected ${wanted}, found ${found}`, { start: source.start, end }, hint);
  return undefined;
}

function readText(source: SourceText, shape: TextShape, problems: Problems): Text | undefined {
  const { text, start, end } = source;
  if (text.length > shape.maxLength) {
    problems.add('too-large', `${shape.what} has at most ${shape.maxLength} characters`, { start, end });
    return undefined;
  }
  const matches = shape.pattern.test(text);
  if (matches && shape.bare !== true && source.plain && isBare(text)) {
    problems.add('wrong-type', `expected ${shape.what}, found ${bareKind(text)}`, source, `write "${text}"`);
    return undefined;
  }
  if (!matches && shape.check === 'pattern') {
    const lower = text.toLowerCase();
    const hint = shape.pattern.test(lower) ? `write \`${lower}\`` : undefined;
    problems.add('malformed', `${quote(text)} is not ${shape.what}`, source, hint);
    return undefined;
  }
  return { kind: 'text', text, start, end };
}

/** What YAML's core schema takes for a number or boolean; another reader of the file would not see a text. */
function isBare(text: string): boolean {
  return bareKind(text) !== undefined;
}

function bareKind(text: string): string | undefined {
  if (/^(?:true|True|TRUE|false|False|FALSE)$/.test(text)) return 'a boolean';
  return /^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/.test(
    text,
  )
    ? 'a number'
    : undefined;
}

function readChoice(source: SourceText, shape: ChoiceShape<string>, problems: Problems): Value | undefined {
  const { text, start, end } = source;
  const value = shape.of.find(word => word === text);
  if (value !== undefined) return { kind: 'choice', value, start, end };
  problems.add(
    'unknown-word',
    `${quote(text)} is not ${shape.what}`,
    source,
    suggest(text, shape.of, problems),
  );
  return undefined;
}

/** `did you mean …`, or the possibilities when they are few. */
export function suggest(typed: string, known: Iterable<string>, problems: Problems): string | undefined {
  if (problems.full) return undefined;
  const words = [...known];
  const nearest = nearestName(typed, words);
  if (nearest !== undefined) return `did you mean \`${nearest}\`?`;
  return words.length > 0 && words.length <= MAX_LISTED ? `possible here: ${words.join(', ')}` : undefined;
}

const MAX_LISTED = 12;

function readWhole(source: SourceText, shape: WholeShape, problems: Problems): Value | undefined {
  const { text, start, end } = source;
  if (!source.plain || !/^(?:0|[1-9][0-9]{0,14})$/.test(text)) {
    problems.add('wrong-type', `expected ${describe(shape)}, found ${quote(text)}`, source);
    return undefined;
  }
  const value = Number(text);
  if (value < shape.min || value > shape.max) {
    problems.add('out-of-range', `${value} is not ${describe(shape)}`, source);
    return undefined;
  }
  return { kind: 'whole', value, start, end };
}

function readList(source: SourceList, shape: ListShape<Shape>, problems: Problems): Value | undefined {
  const { start, end } = source;
  if (!hasFittingSize(source.items.length, source, shape, 'entries', problems)) return undefined;
  const items: Value[] = [];
  const seen = new Set<string>();
  for (const node of source.items) {
    const span = spanOf(node);
    const item = readAny(node, shape.of, problems, span);
    if (item === undefined) continue;
    if (shape.unique && (item.kind === 'text' || item.kind === 'choice')) {
      const word = item.kind === 'text' ? item.text : item.value;
      if (seen.has(word)) problems.add('duplicate-entry', `${quote(word)} stands here twice`, item);
      seen.add(word);
    }
    items.push(item);
  }
  return { kind: 'list', items, start, end };
}

function hasFittingSize(
  size: number,
  source: SourceList | SourceMap,
  { min, max }: { readonly min: number; readonly max: number },
  what: string,
  problems: Problems,
): boolean {
  const { start } = source;
  if (size < min)
    problems.add('missing-value', 'expected at least one entry', source, 'write one, or leave the key out');
  if (size > max) problems.add('too-large', `more than ${max} ${what}`, { start, end: start + 1 });
  return size >= min && size <= max;
}

function readMap(source: SourceMap, shape: MapShape<Shape>, problems: Problems): Value | undefined {
  const { start, end } = source;
  if (!hasFittingSize(source.pairs.length, source, shape, 'keys', problems)) return undefined;
  const entries: { key: Text; value: Value | undefined }[] = [];
  for (const { key, pair } of distinctPairs(source.pairs, problems)) {
    // A number is no mistake as a key: every reader of YAML makes it the text that it is in JSON.
    const name = readText({ ...key, plain: false }, shape.key, problems);
    const value = readAny(pair.value, shape.value, problems, key);
    if (name !== undefined) entries.push({ key: name, value });
  }
  return { kind: 'map', entries, start, end };
}

function readObject(source: SourceMap, shape: ObjectShape<Fields>, problems: Problems, absent: Span): Value {
  const { start, end } = source;
  const fields: Record<string, Value | undefined> = {};
  const present = new Set<string>();
  const unknown: SourceText[] = [];
  for (const { key, pair } of distinctPairs(source.pairs, problems)) {
    const field = Object.hasOwn(shape.fields, key.text) ? shape.fields[key.text] : undefined;
    if (field === undefined) {
      unknown.push(key);
      continue;
    }
    present.add(key.text);
    fields[key.text] = readAny(pair.value, field.shape, problems, key);
  }
  const open = Object.keys(shape.fields).filter(key => !present.has(key));
  for (const key of unknown) {
    const message = `${quote(key.text)} is not a key of ${shape.name}`;
    if (key.text === '<<')
      problems.add('yaml-unsupported', 'merge keys are not part of a model', key, 'write the keys out');
    else problems.add('unknown-key', message, key, suggestKey(key.text, open, shape, problems));
  }
  const meant = new Set(unknown.map(key => nearestName(key.text, open)));
  for (const key of open) {
    // A mistyped key was reported already, with the right one as its hint.
    if (shape.fields[key]?.required !== true || meant.has(key)) continue;
    const hint = `for example \`${key}: ${shape.fields[key].example}\``;
    problems.add('missing-key', `${shape.name} lacks \`${key}\``, absent, hint);
  }
  return { kind: 'object', fields, present, start, end };
}

function suggestKey(
  typed: string,
  open: readonly string[],
  shape: ObjectShape<Fields>,
  problems: Problems,
): string | undefined {
  if (problems.full) return undefined;
  const nearest = nearestName(typed, open);
  return nearest === undefined
    ? `possible here: ${Object.keys(shape.fields).join(', ')}`
    : `did you mean \`${nearest}\`?`;
}

function* distinctPairs(
  pairs: readonly SourcePair[],
  problems: Problems,
): Generator<{ key: SourceText; pair: SourcePair }> {
  const firstAt = new Map<string, number>();
  for (const pair of pairs) {
    const span = spanOf(pair.key);
    const key = readNode(pair.key, problems, span);
    if (key === undefined) continue;
    if (key.kind !== 'text') {
      problems.add('wrong-type', 'expected a plain text as key', { start: span.start, end: span.start + 1 });
      continue;
    }
    const first = firstAt.get(key.text);
    if (first !== undefined) {
      const { line } = problems.source.positionAt(first);
      problems.add(
        'duplicate-key',
        `${quote(key.text)} stands here twice`,
        key,
        `the first is in line ${line}`,
      );
      continue;
    }
    firstAt.set(key.text, key.start);
    yield { key, pair };
  }
}

function describe(shape: Shape): string {
  switch (shape.kind) {
    case 'text':
    case 'choice':
      return shape.what;
    case 'whole':
      return `a whole number from ${shape.min} to ${shape.max}`;
    case 'list':
      return 'a list';
    case 'map':
    case 'object':
      return 'a mapping';
    case 'either':
      return shape.of.map(describe).join(' or ');
    default:
      return assertNever(shape);
  }
}
