import type { PathPattern } from './path-pattern.ts';

const SLASH = 0x2f;
const NOTHING: readonly never[] = Object.freeze([]);

/** Values under path patterns. Lookup time depends on the path and on the patterns that share its beginning. */
export class PathTable<T> {
  readonly #root = new Node<T>('');

  /** Several values may stand under one pattern; they are found in the order in which they were added. */
  add(pattern: PathPattern, value: T): void {
    let node = this.#root;
    for (const segment of pattern.segments)
      node = segment === '*' ? node.openWildcard() : node.openLiteral(segment);
    (pattern.rest ? node.rest : node.exact).push(value);
  }

  /**
   * The values of all patterns that match, the most specific first (`compareSpecificity`).
   *
   * @param path normalised
   */
  match(path: string): readonly T[] {
    const found: T[] = [];
    collect(this.#root, path, 1, found);
    return found.length === 0 ? NOTHING : found;
  }

  /** The first of `match`: of the most specific pattern the value that was added first. */
  first(path: string): T | undefined {
    return this.match(path)[0];
  }
}

function collect<T>(node: Node<T>, path: string, start: number, found: T[]): void {
  const length = path.length;
  if (start > length) {
    append(found, node.exact);
  } else if (node.literals !== undefined || node.wildcard !== undefined) {
    // Hashed in place: a lookup by substring would allocate one string a segment.
    let hash = 0;
    let end = start;
    for (; end < length; end++) {
      const code = path.charCodeAt(end);
      if (code === SLASH) break;
      hash = (Math.imul(hash, 31) + code) | 0;
    }
    const literal =
      node.literals === undefined ? undefined : literalAt(node.literals, hash, path, start, end);
    if (literal !== undefined) collect(literal, path, end + 1, found);
    // INVARIANT: a literal `*` in a path finds the wildcard, never a key: patterns cannot name it (CVE-2025-46821).
    if (node.wildcard !== undefined && end > start) collect(node.wildcard, path, end + 1, found);
  }
  append(found, node.rest);
}

function literalAt<T>(
  literals: ReadonlyMap<number, readonly Node<T>[]>,
  hash: number,
  path: string,
  start: number,
  end: number,
): Node<T> | undefined {
  const bucket = literals.get(hash);
  if (bucket === undefined) return undefined;
  for (const node of bucket) {
    if (node.segment.length === end - start && path.startsWith(node.segment, start)) return node;
  }
  return undefined;
}

function append<T>(found: T[], values: readonly T[]): void {
  for (const value of values) found.push(value);
}

class Node<T> {
  readonly segment: string;
  readonly exact: T[] = [];
  readonly rest: T[] = [];
  literals: Map<number, Node<T>[]> | undefined;
  wildcard: Node<T> | undefined;

  constructor(segment: string) {
    this.segment = segment;
  }

  openWildcard(): Node<T> {
    return (this.wildcard ??= new Node('*'));
  }

  openLiteral(segment: string): Node<T> {
    this.literals ??= new Map();
    const hash = hashOf(segment);
    const bucket = this.literals.get(hash);
    const known = bucket?.find(node => node.segment === segment);
    if (known !== undefined) return known;
    const node = new Node<T>(segment);
    if (bucket === undefined) this.literals.set(hash, [node]);
    else bucket.push(node);
    return node;
  }
}

function hashOf(segment: string): number {
  let hash = 0;
  for (let index = 0; index < segment.length; index++)
    hash = (Math.imul(hash, 31) + segment.charCodeAt(index)) | 0;
  return hash;
}
