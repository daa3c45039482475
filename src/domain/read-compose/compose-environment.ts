import { type Lookup, type Part, expand } from '#domain/manifest';

export type ComposeVariable = { readonly text: string; readonly part: Part };

/** `environment` in its two forms, variables expanded; `undefined`: taken from the shell, and not told by `lookup`. */
export function environmentOf(part: Part, lookup: Lookup): ReadonlyMap<string, ComposeVariable | undefined> {
  const environment = part.at('environment');
  const found = new Map<string, ComposeVariable | undefined>();
  const add = (name: string, text: string | undefined, at: Part) => {
    const told = text === undefined ? lookup(name) : expand(text, lookup, 'all');
    found.set(name, told === undefined ? undefined : { text: told, part: at });
  };
  for (const [name, value] of environment.entries()) add(name, value.text(), value);
  for (const item of environment.items()) {
    const text = item.text() ?? '';
    const equals = text.indexOf('=');
    if (equals === -1) add(text, undefined, item);
    else add(text.slice(0, equals), text.slice(equals + 1), item);
  }
  return found;
}

const MAX_LINES = 10_000;

/** The variables of a `.env` file; later ones may use earlier ones (Docker Compose, "Syntax for environment files"). */
export function dotenvLookup(text: string): Lookup {
  const variables = new Map<string, string>();
  const lookup: Lookup = name => variables.get(name);
  for (const line of text.split('\n').slice(0, MAX_LINES)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]{0,200})\s{0,20}=(.*)$/.exec(line);
    if (match?.[1] === undefined) continue;
    const value = (match[2] ?? '').trim();
    const quoted = /^(["'])(.*)\1(?:\s+#.*)?$/.exec(value);
    if (quoted !== null)
      variables.set(match[1], quoted[1] === "'" ? (quoted[2] ?? '') : expand(quoted[2] ?? '', lookup, 'all'));
    else variables.set(match[1], expand(value.replace(/\s+#.*$/, ''), lookup, 'all'));
  }
  return lookup;
}
