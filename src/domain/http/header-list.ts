import { quote } from '#base/error';
import { HttpError } from './fault.ts';
import { FIELDS, type Field } from './fields.ts';
import { DEL, HTAB, SP, TOKEN } from './octets.ts';

/** One field line. */
export type Entry = {
  readonly name: string;
  readonly value: string;
  /** What is known of the name. */
  readonly field: Field | undefined;
};

/** Room-internal: a list of what a decoder has checked already. */
export let listOf: (entries: Entry[]) => HeaderList;
/** Room-internal: the entries themselves, in wire order. */
export let entriesOf: (headers: HeaderList) => readonly Entry[];
/** Room-internal: `push`, for what a peer sent. */
export let tryPush: (
  headers: HeaderList,
  name: string,
  value: string,
) => 'pushed' | 'bad-name' | 'bad-value' | 'second-of-a-single-field';
/** Room-internal: what was added by `add`. */
export let linesOf: (headers: HeaderList) => string;
/** Room-internal: keeps the entries for which `isKept` says so. */
export let keepWhere: (headers: HeaderList, isKept: (entry: Entry) => boolean) => void;

/** Field lines that are checked and encoded once, for many messages. */
export class FieldLines {
  static readonly NONE = new FieldLines('');
  /** Each line with the end of the line before it. */
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** These and then `others`. */
  and(others: FieldLines): FieldLines {
    return new FieldLines(this.text + others.text);
  }

  /**
   * @param lines names in lower case; none of this hop (RFC 9110 §7.6.1), Host or Content-Length: encoders write those
   * @throws {HttpError} `unencodable`
   */
  static of(...lines: readonly (readonly [name: string, value: string])[]): FieldLines {
    let text = '';
    for (const [name, value] of lines) {
      const field = checkEntry(name, value);
      if (field?.isFraming === true) throw new HttpError('unencodable', `${quote(name)} is of the hop`);
      text += field === undefined ? `\r\n${name}: ${value}` : field.line + value;
    }
    return new FieldLines(text);
  }
}

/**
 * The fields of a message, in the order of the wire, names in lower case.
 *
 * INVARIANT: every name is a token and no value holds CR, LF, NUL, another control character or outer whitespace: by
 * the decoder or by `push`. So the encoders need not look again.
 */
export class HeaderList {
  #entries: Entry[] = [];
  #lines = '';

  static {
    listOf = entries => {
      const list = new HeaderList();
      list.#entries = entries;
      return list;
    };
    entriesOf = headers => headers.#entries;
    linesOf = headers => headers.#lines;
    tryPush = (headers, name, value) => {
      const field = FIELDS.get(name);
      if (field === undefined && !isName(name)) return 'bad-name';
      if (!isValue(value)) return 'bad-value';
      const entries = headers.#entries;
      if (field?.single === true && entries.some(entry => entry.field === field))
        return 'second-of-a-single-field';
      entries.push({ name: field === undefined ? name : field.name, value, field });
      return 'pushed';
    };
    keepWhere = (headers, isKept) => {
      const entries = headers.#entries;
      let kept = 0;
      for (const entry of entries) if (isKept(entry)) entries[kept++] = entry;
      if (kept < entries.length) entries.length = kept;
    };
  }

  get size(): number {
    return this.#entries.length;
  }

  /**
   * Adds a field at the end.
   *
   * @param name in lower case
   * @param value printable ASCII and inner spaces; what is beyond has to be encoded first
   * @throws {HttpError} `unencodable`
   */
  push(name: string, value: string): void {
    const field = checkEntry(name, value);
    this.#entries.push({ name: field === undefined ? name : field.name, value, field });
  }

  /** Adds lines behind all others. They are written and nothing else: they cannot be asked for or removed. */
  add(lines: FieldLines): void {
    this.#lines += lines.text;
  }

  /** Replaces all values under a name. @throws {HttpError} `unencodable` */
  set(name: string, value: string): void {
    this.remove(name);
    this.push(name, value);
  }

  /**
   * The value under a name in lower case; several lines are joined as RFC 9110 §5.3 says, Cookie as RFC 9113 §8.2.3.
   *
   * A name that means one value only never stands twice in a decoded request. For Set-Cookie use `all`.
   */
  get(name: string): string | undefined {
    let value: string | undefined;
    for (const entry of this.#entries) {
      if (entry.name !== name) continue;
      if (value !== undefined) return this.all(name).join(name === 'cookie' ? '; ' : ', ');
      value = entry.value;
    }
    return value;
  }

  all(name: string): string[] {
    return this.#entries.filter(entry => entry.name === name).map(entry => entry.value);
  }

  has(name: string): boolean {
    for (const entry of this.#entries) if (entry.name === name) return true;
    return false;
  }

  remove(name: string): void {
    if (this.has(name)) this.#entries = this.#entries.filter(entry => entry.name !== name);
  }

  *entries(): IterableIterator<readonly [name: string, value: string]> {
    for (const { name, value } of this.#entries) yield [name, value];
  }
}

/** What is known of the name. @throws {HttpError} `unencodable` */
function checkEntry(name: string, value: string): Field | undefined {
  const field = FIELDS.get(name);
  if (field === undefined && !isName(name)) {
    throw new HttpError('unencodable', `${quote(name)} is not a field name in lower case`);
  }
  // The value may be a secret and is not shown.
  if (!isValue(value))
    throw new HttpError('unencodable', `the value for ${name} holds what no field may hold`);
  return field;
}

function isName(name: string): boolean {
  if (name === '') return false;
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    // NUL is no token, and 0 says so in the table.
    if (code === 0 || code >= DEL || TOKEN[code] !== code) return false;
  }
  return true;
}

function isValue(value: string): boolean {
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    // Codes above 0xff must not reach the Latin-1 encoder: it would keep their low byte, U+010D becoming CR.
    if ((code < SP && code !== HTAB) || code >= DEL) return false;
  }
  return !isBlankAt(value, 0) && !isBlankAt(value, value.length - 1);
}

function isBlankAt(value: string, index: number): boolean {
  const code = value.charCodeAt(index);
  return code === SP || code === HTAB;
}
