import { shot } from './shot.ts';
import type { Attack } from './attack.ts';
import { describeEntry, legitimate, onEntry, type Entry, type Field } from './field.ts';

type Spelling = {
  readonly name: string;
  readonly title: string;
  readonly references: readonly string[];
  /** Another spelling of `path`, or a detour that some servers resolve to it. */
  readonly spell: (path: string) => string;
};

const TRAVERSAL = ['CWE-22', 'CVE-2021-41773'];
const CONFUSION = ['CWE-436', 'CVE-2021-31920'];

const SPELLINGS: readonly Spelling[] = [
  {
    name: 'dot-dot',
    title: 'takes a detour through `..`',
    references: TRAVERSAL,
    spell: path => `/detour/..${path}`,
  },
  {
    name: 'dot-dot-encoded',
    title: 'writes `..` as %2e%2e',
    references: TRAVERSAL,
    spell: path => `/detour/%2e%2e${path}`,
  },
  {
    name: 'dot-dot-half-encoded',
    title: 'writes `..` as .%2E',
    references: TRAVERSAL,
    spell: path => `/detour/.%2E${path}`,
  },
  { name: 'dot', title: 'puts a `.` segment in', references: CONFUSION, spell: path => `/.${path}` },
  {
    name: 'dot-encoded',
    title: 'puts a %2e segment in',
    references: CONFUSION,
    spell: path => `/%2e${path}`,
  },
  {
    name: 'double-slash',
    title: 'doubles the first slash',
    references: CONFUSION,
    spell: path => `/${path}`,
  },
  {
    name: 'slash-encoded',
    title: 'writes a slash as %2f',
    references: CONFUSION,
    spell: path => `/detour%2f..${path}`,
  },
  { name: 'slash-encoded-behind', title: 'appends %2F', references: CONFUSION, spell: path => `${path}%2F` },
  {
    name: 'backslash',
    title: 'uses a backslash as a slash',
    references: [...CONFUSION, 'CWE-22'],
    spell: path => `/detour\\..${path}`,
  },
  {
    name: 'backslash-encoded',
    title: 'writes a backslash as %5c',
    references: CONFUSION,
    spell: path => `/detour%5c..${path}`,
  },
  {
    name: 'double-encoding',
    title: 'encodes `..` twice',
    references: ['CWE-174'],
    spell: path => `/detour/%252e%252e${path}`,
  },
  {
    name: 'double-encoded-slash',
    title: 'encodes a slash twice',
    references: ['CWE-174'],
    spell: path => `/detour%252f..${path}`,
  },
  {
    name: 'parameter',
    title: 'appends a `;` parameter',
    references: ['CWE-436', 'CVE-2026-73553'],
    spell: path => `${path};v=1`,
  },
  {
    name: 'dot-dot-parameter',
    title: 'hides `..` behind a `;` (Tomcat)',
    references: ['CWE-22', 'CVE-2020-1938'],
    spell: path => `/detour/..;${path}`,
  },
  {
    name: 'parameter-encoded',
    title: 'writes `;` as %3b',
    references: ['CWE-436'],
    spell: path => `${path}%3bv=1`,
  },
  {
    name: 'overlong',
    title: 'writes `/` as overlong UTF-8',
    references: ['CWE-176', 'CVE-2000-0884'],
    spell: path => `/detour%c0%af..${path}`,
  },
  {
    name: 'overlong-dot',
    title: 'writes `.` as overlong UTF-8',
    references: ['CWE-176'],
    spell: path => `/detour/%c0%ae%c0%ae${path}`,
  },
  {
    name: 'bad-utf8',
    title: 'appends a byte that is no UTF-8',
    references: ['CWE-176'],
    spell: path => `${path}%ff`,
  },
  {
    name: 'nul',
    title: 'appends %00',
    references: ['CWE-158', 'CVE-2006-7243'],
    spell: path => `${path}%00`,
  },
  {
    name: 'newline',
    title: 'appends %0d%0a',
    references: ['CWE-93', 'CWE-117'],
    spell: path => `${path}%0d%0aX-Probe:%201`,
  },
  {
    name: 'bad-escape',
    title: 'ends in half an escape',
    references: ['CWE-172'],
    spell: path => `${path}%2`,
  },
  {
    name: 'fragment',
    title: 'appends a fragment',
    references: ['CWE-436', 'CVE-2021-39156'],
    spell: path => `${path}#detour`,
  },
  {
    name: 'question-mark-encoded',
    title: 'writes `?` as %3f',
    references: ['CWE-436'],
    spell: path => `${path}%3fdetour`,
  },
  {
    name: 'full-width-slash',
    title: 'writes `/` as U+FF0F',
    references: ['CWE-176'],
    spell: path => `/detour%ef%bc%8f..${path}`,
  },
];

export const PATH_ATTACKS: readonly Attack[] = SPELLINGS.map(({ name, title, references, spell }) => {
  const attack: Attack = {
    id: `vetting/path-${name}`,
    ring: 'vetting',
    vantage: 'outside',
    title,
    references: [...references, 'ASVS 1.1.1'],
    aim: field =>
      carriers(field).flatMap(entry => {
        const probe = respell(entry, spell);
        if (probe === undefined) return [];
        return shot(attack, {
          place: `${entry.kind}/${entry.service}`,
          service: entry.service,
          target: `${describeEntry(entry)}, spelled differently`,
          probe,
          control: legitimate(entry),
          // A fragment or a control byte is already malformed as a request target (RFC 9112 §3.2).
          expect: { kind: 'refused', reasons: ['ambiguous-path', 'malformed-request'] },
        });
      }),
  };
  return attack;
});

function carriers(field: Field): readonly Entry[] {
  return [...field.doors, ...field.entries.filter(({ kind }) => kind === 'inbound')];
}

function respell(entry: Entry, spell: (path: string) => string) {
  const control = legitimate(entry);
  if (!('message' in control) || control.message.kind !== 'request') return undefined;
  return onEntry(entry, { ...control.message, path: spell(control.message.path) });
}
