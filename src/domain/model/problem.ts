import type { Position } from './model.ts';
import type { SourceText } from './source-text.ts';

/** What can be wrong with a model, and what is legal but suspicious. Stable: editors and scripts hold these words. */
export const PROBLEM_CODES = {
  // the text
  'too-large': {
    severity: 'error',
    meaning: 'the file, its nesting or one of its lists is larger than any model needs',
  },
  'yaml-syntax': { severity: 'error', meaning: 'the file is not YAML 1.2' },
  'yaml-unsupported': {
    severity: 'error',
    meaning:
      'aliases, anchors, tags, directives, merge keys and further documents: a model says each thing where it stands',
  },
  // the shape
  'duplicate-key': { severity: 'error', meaning: 'a key stands twice in one mapping' },
  'unknown-key': { severity: 'error', meaning: 'a key that the language does not have' },
  'missing-key': { severity: 'error', meaning: 'a required key is absent' },
  'missing-value': {
    severity: 'error',
    meaning: 'a key without value, or an empty list or mapping where something must stand',
  },
  'wrong-type': {
    severity: 'error',
    meaning: 'a list where a text belongs, a number where a text belongs, and the like',
  },
  'unknown-word': { severity: 'error', meaning: 'a word outside of the few that are possible here' },
  malformed: { severity: 'error', meaning: 'a value that is not written as its key demands' },
  'out-of-range': { severity: 'error', meaning: 'a number too small or too large' },
  'duplicate-entry': { severity: 'error', meaning: 'the same entry twice in one list' },
  // the meaning
  'bad-path': { severity: 'error', meaning: 'a path pattern that is not one, or that no request can match' },
  'bad-origin': {
    severity: 'error',
    meaning: 'not an origin: `https://host[:port]`, plain http on loopback only',
  },
  'unknown-service': { severity: 'error', meaning: 'a service that the model does not declare' },
  'reserved-name': { severity: 'error', meaning: 'a name that Ringwall itself uses' },
  'self-call': { severity: 'error', meaning: 'a service that calls itself' },
  'wrong-protocol': {
    severity: 'error',
    meaning: 'a call or route that does not suit the protocol of its service',
  },
  'duplicate-call': { severity: 'error', meaning: 'the same call twice' },
  'duplicate-route': { severity: 'error', meaning: 'two routes of one host that answer the same requests' },
  'issuer-missing': {
    severity: 'error',
    meaning: 'a route for users while no issuer is declared who could vouch for them',
  },
  'local-issuer': {
    severity: 'error',
    meaning: 'more than one local issuer, or local settings on one that is not',
  },
  'no-effect': {
    severity: 'error',
    meaning: 'a protection that would never apply, such as scopes where anonymous clients are admitted',
  },
  'lockout-account': {
    severity: 'error',
    meaning: 'a lockout per account without the field that names it, or the reverse',
  },
  'port-conflict': { severity: 'error', meaning: 'two listeners on one port' },
  'environment-conflict': {
    severity: 'error',
    meaning: 'two destinations whose environment variables have one name',
  },
  'shell-syntax': { severity: 'error', meaning: 'shell syntax in a command that no shell reads' },
  // legal but suspicious
  'not-shown': {
    severity: 'warning',
    meaning: 'there are more problems than anybody reads; the first ones are shown',
  },
  'unreached-service': { severity: 'warning', meaning: 'a service that nothing calls and no route reaches' },
  'restricted-cycle': { severity: 'warning', meaning: 'a cycle of calls through a restricted service' },
  'anonymous-reach': {
    severity: 'warning',
    meaning:
      'a restricted service within reach of anonymous clients, or a confidential one that a route without lockout opens to them',
  },
  'restricted-egress': { severity: 'warning', meaning: 'a restricted service that may reach the outside' },
  'relaxed-record': {
    severity: 'warning',
    meaning: 'a confidential or restricted service whose records may be lost in a crash',
  },
  'broad-call': { severity: 'warning', meaning: 'a call that opens every path of a restricted service' },
  'default-limits': {
    severity: 'warning',
    meaning:
      'a route for users, or to a confidential or restricted service, that leaves its limits to the default',
  },
  'redundant-client': {
    severity: 'warning',
    meaning: 'kinds of client beside `anonymous`, which admits everybody',
  },
  'unused-issuers': { severity: 'warning', meaning: 'issuers are declared, but no route admits users' },
} as const satisfies Readonly<Record<string, { severity: 'error' | 'warning'; meaning: string }>>;

export type ProblemCode = keyof typeof PROBLEM_CODES;

export type Problem = {
  readonly severity: 'error' | 'warning';
  readonly code: ProblemCode;
  /** Lowercase, no full stop; names of the model in backticks. */
  readonly message: string;
  readonly at: Position;
  /** How much of the line is meant, in UTF-16 units. */
  readonly length?: number;
  /** What would be right. */
  readonly hint?: string;
};

/** A stretch of the source: offsets in UTF-16 units, `end` not included. */
export type Span = { readonly start: number; readonly end: number };

/** Collects problems; past a bound they are only counted, so that a hostile file cannot fill the memory. */
export class Problems {
  static readonly MAX_KEPT = 500;
  readonly source: SourceText;
  #kept: Problem[] = [];
  #dropped = 0;
  #errors = 0;

  constructor(source: SourceText) {
    this.source = source;
  }

  add(code: ProblemCode, message: string, span: Span, hint?: string): void {
    const { severity } = PROBLEM_CODES[code];
    const at = this.full ? NOWHERE : this.source.positionAt(span.start);
    const length = Math.max(1, span.end - span.start);
    this.keep({ severity, code, message, at, length, ...(hint === undefined ? {} : { hint }) });
  }

  keep(problem: Problem): void {
    if (problem.severity === 'error') this.#errors += 1;
    if (this.full) this.#dropped += 1;
    else this.#kept.push(problem);
  }

  /** Nearest names need not be searched any more: nobody will see them. */
  get full(): boolean {
    return this.#kept.length >= Problems.MAX_KEPT;
  }

  get hasErrors(): boolean {
    return this.#errors > 0;
  }

  /** In the order of the file. */
  errors(): Problem[] {
    return this.#kept.filter(({ severity }) => severity === 'error').sort(byPlace);
  }

  /** In the order of the file; the last one says how many problems were dropped. */
  warnings(): Problem[] {
    const warnings = this.#kept.filter(({ severity }) => severity === 'warning').sort(byPlace);
    const last = this.#kept.toSorted(byPlace).at(-1);
    if (this.#dropped === 0 || last === undefined) return warnings;
    const message = `${this.#dropped} further problems are not shown`;
    return [...warnings, { severity: 'warning', code: 'not-shown', message, at: last.at }];
  }
}

const NOWHERE: Position = { file: '', line: 1, column: 1 };

/** Orders problems as they stand in the file. */
export function byPlace(a: Problem, b: Problem): number {
  return a.at.line - b.at.line || a.at.column - b.at.column;
}
