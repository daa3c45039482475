export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
/** Keys are own properties; one named `__proto__` is a property like any other. */
export type JsonObject = { readonly [key: string]: JsonValue };

export type StrictJson =
  | { readonly kind: 'json'; readonly value: JsonValue }
  | { readonly kind: 'refused'; readonly fault: 'not-json' | 'duplicate-key' | 'too-deep' };

/**
 * Parses JSON that no two parsers can read differently: an object that names a key twice is refused (RFC 8725 §2.6,
 * RFC 8259 §4), in whatever spelling of its escapes.
 *
 * @param maxDepth how many arrays and objects may stand inside each other
 */
export function parseStrictJson(text: string, maxDepth: number): StrictJson {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return { kind: 'refused', fault: 'not-json' };
  }
  const fault = scan(text, maxDepth);
  return fault === undefined ? { kind: 'json', value } : { kind: 'refused', fault };
}

/** Parses the bytes of a JSON object; not UTF-8 and a byte order mark are refused too (RFC 8259 §8.1). */
export function parseStrictObject(
  bytes: Uint8Array,
  maxDepth: number,
):
  | { readonly kind: 'object'; readonly value: JsonObject }
  | { readonly kind: 'refused'; readonly fault: string } {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { kind: 'refused', fault: 'not-utf-8' };
  }
  const json = parseStrictJson(text, maxDepth);
  if (json.kind === 'refused') return json;
  if (!isJsonObject(json.value)) return { kind: 'refused', fault: 'not-an-object' };
  return { kind: 'object', value: json.value };
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An own property: what `Object.prototype` holds is not part of the JSON. */
export function member(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** Walks over text that is known to be JSON; so strings end, brackets match, and only keys need care. */
function scan(text: string, maxDepth: number): 'duplicate-key' | 'too-deep' | undefined {
  // The keys of each open object, outermost first; `undefined` stands for an array.
  const open: (Set<string> | undefined)[] = [];
  let atKey = false;

  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        const keys = open.at(-1);
        if (atKey && keys !== undefined) {
          const quoted = text.slice(at, end + 1);
          const key = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
          if (keys.has(key)) return 'duplicate-key';
          keys.add(key);
          atKey = false;
        }
        at = end;
        break;
      }
      case OPEN_BRACE:
      case OPEN_BRACKET: {
        if (open.length >= maxDepth) return 'too-deep';
        const isObject = text.charCodeAt(at) === OPEN_BRACE;
        open.push(isObject ? new Set() : undefined);
        atKey = isObject;
        break;
      }
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop();
        atKey = false;
        break;
      case COMMA:
        atKey = open.at(-1) !== undefined;
        break;
    }
  }
  return undefined;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}
