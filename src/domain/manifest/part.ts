import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Document,
  type LineCounter,
  type ParsedNode,
  type YAMLMap,
} from 'yaml';
import type { Position } from '#domain/model';
import type { Locate } from './setting.ts';
import type { SourceText } from './source.ts';

type Origin = {
  readonly source: SourceText;
  readonly counter: LineCounter;
  /** The line of the source at which `text` begins. */
  readonly firstLine: number;
  readonly text: string;
};

/** Merges and aliases may refer to what holds them; deeper than this, they are not followed. */
const MAX_INDIRECTIONS = 8;

/**
 * A piece of a manifest that knows its place. UNTRUSTED: any shape can stand anywhere, so every question has an
 * answer for the wrong shape: absent, empty, `undefined`.
 */
export class Part {
  readonly #node: unknown;
  readonly #document: Document.Parsed | Document;
  readonly #origin: Origin;
  /** Where it is talked about when it is absent. */
  readonly #holder: Part | undefined;
  #entries: ReadonlyMap<string, Part> | undefined;

  constructor(node: unknown, document: Document.Parsed | Document, origin: Origin, holder?: Part) {
    this.#document = document;
    this.#origin = origin;
    this.#holder = holder;
    this.#node = this.#follow(node);
  }

  get present(): boolean {
    return this.#node !== undefined && !(isScalar(this.#node) && this.#node.value === null);
  }

  get isList(): boolean {
    return isSeq(this.#node);
  }

  get isMap(): boolean {
    return isMap(this.#node);
  }

  /** The part below the given keys; an absent one when there is none. */
  at(...keys: readonly string[]): Part {
    return keys.reduce<Part>((part, key) => part.entries().get(key) ?? part.#child(undefined), this);
  }

  /** The entries of a map in order, merge keys (`<<`) included. */
  entries(): ReadonlyMap<string, Part> {
    if (this.#entries === undefined) {
      const found = new Map<string, Part>();
      if (isMap(this.#node)) this.#collect(this.#node, found, 0);
      this.#entries = found;
    }
    return this.#entries;
  }

  /** The items of a list; none when it is no list. */
  items(): readonly Part[] {
    return isSeq(this.#node) ? this.#node.items.map(item => this.#child(item)) : [];
  }

  /** A scalar as its text: `8080` and `"8080"` are the same; `undefined` for null and for what is no scalar. */
  text(): string | undefined {
    if (!isScalar(this.#node)) return undefined;
    const { value } = this.#node;
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') {
      return this.#node.source ?? String(value);
    }
    return undefined;
  }

  /** A whole number from 0 to 65535, or `undefined`. */
  port(): number | undefined {
    const text = this.text();
    if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined;
    const port = Number(text);
    return port > 0 && port <= 65_535 ? port : undefined;
  }

  /** The place of the part, named as in comments. */
  place(): Position {
    return this.#positionOf(this.#offset(), this.#origin.source.name);
  }

  /** The place of the part, named so that the user can open it. */
  openPlace(): Position {
    return this.#positionOf(this.#offset(), this.#origin.source.path);
  }

  /**
   * The place where `token` stands inside this scalar: its own line in a block of text.
   * @param occurrence how many times `token` stands earlier in the value
   * @param lineOfValue on which line of the value it stands, from 0, when that is known
   */
  locate(token: string, occurrence: number, lineOfValue?: number): Position {
    const range = rangeOf(this.#node);
    if (range === undefined || token === '') return this.place();
    // The lines of a literal block are the lines of the file, below the `|`.
    if (lineOfValue !== undefined && isScalar(this.#node) && this.#node.type === 'BLOCK_LITERAL') {
      return this.#lineBelow(range[0], lineOfValue + 1, token);
    }
    let offset = this.#origin.text.indexOf(token, range[0]);
    for (let seen = 0; seen < occurrence && offset !== -1; seen++) {
      offset = this.#origin.text.indexOf(token, offset + token.length);
    }
    // Folding and escapes can tear a token apart; then the scalar's own place must do.
    return offset === -1 || offset >= range[1]
      ? this.place()
      : this.#positionOf(offset, this.#origin.source.name);
  }

  /** `locate` as a function of its own. */
  locator(): Locate {
    return (token, occurrence, lineOfValue) => this.locate(token, occurrence, lineOfValue);
  }

  /** This map with what `base` says where this one says nothing; maps inside are laid over each other, too. */
  over(base: Part): Part {
    const combined = this.#child(this.#node);
    const entries = new Map(this.entries());
    for (const [key, inherited] of base.entries()) {
      const own = entries.get(key);
      if (own === undefined) entries.set(key, inherited);
      else if (own.isMap && inherited.isMap) entries.set(key, own.over(inherited));
    }
    combined.#entries = entries;
    return combined;
  }

  #lineBelow(offset: number, lines: number, token: string): Position {
    const { line } = this.#origin.counter.linePos(offset);
    const start = this.#origin.counter.lineStarts[line - 1 + lines] ?? offset;
    const end = this.#origin.counter.lineStarts[line + lines] ?? this.#origin.text.length;
    const column = this.#origin.text.slice(start, end).indexOf(token);
    return this.#positionOf(start + Math.max(0, column), this.#origin.source.name);
  }

  #collect(map: YAMLMap, found: Map<string, Part>, depth: number): void {
    const merged: YAMLMap[] = [];
    for (const pair of map.items) {
      if (!isPair(pair)) continue;
      const key = isScalar(pair.key) ? pair.key : undefined;
      if (key === undefined) continue;
      const name = key.source ?? String(key.value);
      if (name === '<<' && depth < MAX_INDIRECTIONS) {
        const value = this.#follow(pair.value);
        const sources = isSeq(value) ? value.items.map(item => this.#follow(item)) : [value];
        merged.push(...sources.filter(source => isMap(source)));
        continue;
      }
      found.set(name, this.#child(pair.value));
    }
    // What stands in the map itself goes before what it merges.
    for (const source of merged) {
      const inherited = new Map<string, Part>();
      this.#collect(source, inherited, depth + 1);
      for (const [name, part] of inherited) if (!found.has(name)) found.set(name, part);
    }
  }

  #child(node: unknown): Part {
    return new Part(node, this.#document, this.#origin, this);
  }

  #follow(node: unknown): unknown {
    let followed: unknown = node;
    for (let hops = 0; isAlias(followed); hops++) {
      if (hops === MAX_INDIRECTIONS) return undefined;
      followed = followed.resolve(this.#document);
    }
    return followed ?? undefined;
  }

  #offset(): number {
    const range = rangeOf(this.#node);
    if (range !== undefined) return range[0];
    return this.#holder === undefined ? 0 : this.#holder.#offset();
  }

  #positionOf(offset: number, file: string): Position {
    const { line, col } = this.#origin.counter.linePos(offset);
    return { file, line: Math.max(1, line) + this.#origin.firstLine - 1, column: Math.max(1, col) };
  }
}

function rangeOf(node: unknown): readonly [number, number, number] | undefined {
  return (node as ParsedNode | undefined)?.range ?? undefined;
}
