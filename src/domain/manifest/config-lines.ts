/** One line of a configuration file: a name and what it is set to. */
export type ConfigLine = {
  readonly name: string;
  readonly value: string;
  readonly form: 'value' | 'script';
  /** From 0; `undefined` when the text is JSON. */
  readonly line: number | undefined;
};

const MAX_LINES = 20_000;
const MAX_LINE = 8_192;
const MAX_DEPTH = 32;

// `key: value`, `key = value`, `"key": "value"`, `<key>value</key>`, and `key value;` of nginx and HAProxy
const ASSIGNMENT =
  /^\s*(?:-\s+)?(?:export\s+)?["']?([A-Za-z_][\w./-]{0,120})["']?\s{0,20}(?:=|:(?=\s|$|["'[{]))\s*(.*)$/;
const ELEMENT = /^\s*<([A-Za-z_][\w.-]{0,80})>([^<]*)<\/[A-Za-z_][\w.-]{0,80}>\s*$/;
const DIRECTIVE = /^\s*([A-Za-z_][\w-]{0,60})\s+(\S.*)$/;
const LIST_ITEM = /^\s*-\s+(\S.*)$/;
const COMMENT = /^\s*(?:#|\/\/|;|--\s|<!--|\*|\/\*)/;

/**
 * Cuts the text of a configuration file, of whatever format, into what its lines set. Comments are left out: what
 * stands in them is not in force.
 */
export function configLines(text: string): readonly ConfigLine[] {
  const found: ConfigLine[] = [];
  const json = /^\s*[{[]/.test(text) ? parseJson(text) : undefined;
  if (isDashboard(json)) return [];
  if (json !== undefined) {
    flatten('', json, found, 0);
    return found;
  }
  let lastKey = '';
  for (const [line, raw] of text.split('\n').slice(0, MAX_LINES).entries()) {
    if (COMMENT.test(raw)) continue;
    const content = withoutTrailingComment(raw.slice(0, MAX_LINE));
    const assignment = ELEMENT.exec(content) ?? ASSIGNMENT.exec(content);
    const value = cleanValue(assignment?.[2] ?? '');
    if (assignment?.[1] !== undefined) {
      lastKey = assignment[1];
      if (value !== '') found.push({ name: lastKey, value, form: 'value', line });
      continue;
    }
    const item = LIST_ITEM.exec(content);
    if (item?.[1] !== undefined) {
      found.push({ name: lastKey, value: cleanValue(item[1]), form: 'value', line });
      continue;
    }
    const directive = DIRECTIVE.exec(content);
    if (directive?.[1] !== undefined) {
      found.push({ name: directive[1], value: cleanValue(directive[2] ?? ''), form: 'value', line });
    } else if (content.trim() !== '')
      found.push({ name: '', value: cleanValue(content), form: 'script', line });
  }
  return found;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A Grafana dashboard: full of links, and nothing in it is called. */
function isDashboard(json: unknown): boolean {
  return typeof json === 'object' && json !== null && 'panels' in json && 'schemaVersion' in json;
}

function flatten(name: string, value: unknown, found: ConfigLine[], depth: number): void {
  if (depth > MAX_DEPTH || found.length >= MAX_LINES) return;
  if (typeof value === 'string') found.push({ name, value, form: 'value', line: undefined });
  else if (typeof value === 'number')
    found.push({ name, value: String(value), form: 'value', line: undefined });
  else if (Array.isArray(value)) for (const item of value) flatten(name, item, found, depth + 1);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value))
      flatten(name === '' ? key : `${name}.${key}`, inner, found, depth + 1);
  }
}

function withoutTrailingComment(line: string): string {
  const at = line.search(/\s#\s/);
  return at === -1 ? line : line.slice(0, at);
}

function cleanValue(text: string): string {
  return text
    .trim()
    .replace(/[,;]$/, '')
    .replace(/^["']|["']$/g, '')
    .trim();
}
