import type { HttpFault } from './fault.ts';
import { fieldAt, hashStep, type Field } from './fields.ts';
import { listOf, type Entry, type HeaderList } from './header-list.ts';
import type { HttpLimits } from './limits.ts';
import { ANY_VALUE, ASCII_VALUE, COLON, CR, DEL, HTAB, LF, SP, TOKEN } from './octets.ts';

/**
 * The field lines of a head or trailer section, read strictly from left to right (RFC 9112 §5).
 *
 * The first fault in wire order decides, so a section that arrives in pieces meets the same fate as one in one piece.
 */
export class FieldSection {
  readonly headers: HeaderList;
  readonly #entries: Entry[] = [];
  readonly #of: 'request' | 'response';
  readonly #limits: HttpLimits;
  /** Where reading stopped: behind the section's empty line, or at the fault. */
  end = 0;

  constructor(of: 'request' | 'response', limits: HttpLimits) {
    this.#of = of;
    this.#limits = limits;
    this.headers = listOf(this.#entries);
  }

  /**
   * @param text the bytes of `buffer` from `textStart` to `end` as Latin-1
   * @param from where the first field line starts
   */
  read(
    buffer: Uint8Array,
    text: string,
    textStart: number,
    from: number,
    end: number,
  ): HttpFault | 'incomplete' | 'read' {
    const { maxLineBytes, maxHeaders } = this.#limits;
    const isRequest = this.#of === 'request';
    const valueTable = isRequest ? ASCII_VALUE : ANY_VALUE;
    const entries = this.#entries;
    let at = from;
    for (;;) {
      const lineStart = at;
      if (at >= end) return 'incomplete';
      const first = buffer[at]!;
      if (first === CR) {
        this.end = at + 2;
        return at + 1 >= end ? 'incomplete' : buffer[at + 1] === LF ? 'read' : 'bare-cr';
      }
      if (first === SP || first === HTAB) return at === from ? 'leading-whitespace' : 'obs-fold';
      if (entries.length === maxHeaders) return 'too-many-headers';

      let hash = 0;
      let sawUpper = false;
      let code = 0;
      while (at < end && (code = TOKEN[buffer[at]!]!) !== 0) {
        if (code !== buffer[at]) sawUpper = true;
        hash = hashStep(hash, code);
        at++;
      }
      if (at - lineStart > maxLineBytes) return 'line-too-long';
      if (at >= end) return 'incomplete';
      if (buffer[at] !== COLON) return nameFault(buffer, at, end);
      if (at === lineStart) return 'bad-name';
      const nameEnd = at;

      at++;
      while (at < end && (buffer[at] === SP || buffer[at] === HTAB)) at++;
      const valueStart = at;
      while (at < end && valueTable[buffer[at]!] === 1) at++;
      if (at - lineStart > maxLineBytes) return 'line-too-long';
      if (at >= end) return 'incomplete';
      if (buffer[at] !== CR) return octetFault(buffer[at]!);
      if (at + 1 >= end) return 'incomplete';
      if (buffer[at + 1] !== LF) return 'bare-cr';
      let valueEnd = at;
      while (valueEnd > valueStart && (buffer[valueEnd - 1] === SP || buffer[valueEnd - 1] === HTAB))
        valueEnd--;
      at += 2;

      const field = fieldAt(hash, buffer, lineStart, nameEnd - lineStart);
      let name: string;
      if (field === undefined) {
        name = text.slice(lineStart - textStart, nameEnd - textStart);
        if (sawUpper) name = name.toLowerCase();
      } else {
        name = field.name;
        const isSingle = isRequest ? field.single : field.singleInResponse;
        if (isSingle && holds(entries, field)) return duplicateFault(name);
      }
      entries.push({ name, value: text.slice(valueStart - textStart, valueEnd - textStart), field });
    }
  }
}

function holds(entries: readonly Entry[], field: Field): boolean {
  for (const entry of entries) if (entry.field === field) return true;
  return false;
}

function nameFault(buffer: Uint8Array, at: number, end: number): HttpFault | 'incomplete' {
  const code = buffer[at]!;
  if (code === CR) return at + 1 >= end ? 'incomplete' : buffer[at + 1] === LF ? 'missing-colon' : 'bare-cr';
  if (code === SP || code === HTAB) return 'space-before-colon';
  if (code === LF || code < SP || code >= DEL) return octetFault(code);
  return 'bad-name';
}

/** The fault of an octet that may not stand where it stands; CR not considered. */
export function octetFault(code: number): HttpFault {
  return code === LF ? 'bare-lf' : code >= 0x80 ? 'non-ascii' : 'control-character';
}

function duplicateFault(name: string): HttpFault {
  if (name === 'content-length') return 'duplicate-length';
  return name === 'transfer-encoding' ? 'duplicate-transfer-encoding' : 'duplicate-field';
}
