import { type Unit, knownImage } from '#domain/manifest';

export type DataGuess = { readonly data: 'internal' | 'confidential'; readonly why: string };

/**
 * What a name lets expect. No manifest tells how sensitive data is, so this is a guess and is written as one; nobody's
 * data is guessed to be `public`, and `restricted` is for people to say.
 */
const TABLE: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  {
    pattern: /payment|billing|invoice|wallet|(?:^|-)(?:pay|card|cards|bank|banking)(?:-|$|service|api)/,
    why: 'its name speaks of payments',
  },
  {
    pattern: /account|customer|identity|(?:^|-)(?:user|users|auth|login)(?:-|$|service|api)/,
    why: 'its name speaks of people',
  },
  { pattern: /keycloak|vault|credential|secret|password/, why: 'its name speaks of credentials' },
];

export function guessData(unit: Unit): DataGuess {
  const known = unit.images.map(({ text }) => knownImage(text)).find(found => found?.kind === 'database');
  if (known !== undefined) return { data: 'confidential', why: `${known.name} is a database` };
  const name = unit.name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const match = TABLE.find(({ pattern }) => pattern.test(name));
  return match === undefined ? { data: 'internal', why: '' } : { data: 'confidential', why: match.why };
}
