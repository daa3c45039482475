import { quote } from '#base/error';
import { METHODS, type Limit, type Lockout, type Method } from './model.ts';
import { nearestName } from './nearest-name.ts';
import type { ProblemCode } from './problem.ts';

/** What a small language makes of a text; `index` and `length` say which part of it is wrong. */
export type Parsed<T> = { readonly kind: 'parsed'; readonly value: T } | Wrong;
export type Wrong = {
  readonly kind: 'wrong';
  readonly code: ProblemCode;
  readonly message: string;
  readonly index: number;
  readonly length: number;
  readonly hint?: string;
};

export type CallText =
  | { readonly kind: 'http'; readonly method: Method; readonly path: string; readonly pathIndex: number }
  | { readonly kind: 'connect' };

/** `GET /products/*`, `POST /package.Service/Method` or `connect` */
export function parseCall(text: string): Parsed<CallText> {
  if (text === 'connect') return parsed({ kind: 'connect' });
  const shape = /^(\S+) (\S+)$/.exec(text);
  const [, word, path] = shape ?? [];
  if (word === undefined || path === undefined) return diagnoseCall(text);
  const method = METHODS.find(known => known === word);
  if (method === undefined) {
    return wrong('unknown-word', `${quote(word)} is not a method`, 0, word.length, didYouMean(word, METHODS));
  }
  const pathIndex = word.length + 1;
  if (!path.startsWith('/'))
    return wrong(
      'bad-path',
      'a path begins with `/`',
      pathIndex,
      path.length,
      `write \`${method} /${path}\``,
    );
  return parsed({ kind: 'http', method, path, pathIndex });
}

function diagnoseCall(text: string): Wrong {
  const whole = ['malformed', `${quote(text)} is not a call`, 0, text.length] as const;
  if (text.startsWith('/')) return wrong(...whole, 'a method comes first: `GET /products/*`');
  if (METHODS.some(method => method === text))
    return wrong(...whole, `a path comes after it: \`${text} /products/*\``);
  const nearest = nearestName(text, ['connect']);
  return wrong(
    ...whole,
    nearest === undefined
      ? 'write `<METHOD> <path>` with one space, or `connect`'
      : 'did you mean `connect`?',
  );
}

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const LIMITED_BY = ['client', 'user', 'route'] as const;

/** `20/s burst 40 per client`; without `burst`, as many as the requests. */
export function parseLimit(text: string): Parsed<Limit> {
  const match = /^([0-9]{1,9})\/([smhd])(?: burst ([0-9]{1,9}))? per (client|user|route)$/.exec(text);
  if (match === null) return diagnoseLimit(text);
  const requests = Number(match[1]);
  const burst = match[3] === undefined ? requests : Number(match[3]);
  if (requests === 0 || burst === 0) {
    return wrong(
      'out-of-range',
      'a limit admits at least one request',
      0,
      text.length,
      'to close a route, remove it',
    );
  }
  return parsed({
    requests,
    perMs: UNIT_MS[match[2] as keyof typeof UNIT_MS],
    burst,
    per: match[4] as Limit['per'],
    text,
  });
}

function diagnoseLimit(text: string): Wrong {
  const unit = /^[0-9]{1,9}\/([A-Za-z]+)/.exec(text)?.[1];
  if (unit !== undefined && !(unit in UNIT_MS)) {
    const nearest = /^[smhd]/i.exec(unit)?.[0].toLowerCase();
    const hint =
      nearest === undefined
        ? 'units are s, m, h and d'
        : `did you mean \`${nearest}\`? units are s, m, h and d`;
    return wrong(
      'unknown-word',
      `${quote(unit)} is not a unit of time`,
      text.indexOf('/') + 1,
      unit.length,
      hint,
    );
  }
  const by = / per ([A-Za-z-]+)$/.exec(text);
  const word = by?.[1];
  if (by !== null && word !== undefined && !LIMITED_BY.some(known => known === word)) {
    return wrong(
      'unknown-word',
      `${quote(word)} cannot be limited by`,
      by.index + 5,
      word.length,
      didYouMean(word, LIMITED_BY),
    );
  }
  const hint = /^[0-9]{1,9}\/[smhd](?: burst [0-9]{1,9})?$/.test(text)
    ? `say what is counted: \`${text} per client\``
    : 'write it like `20/s burst 40 per client`';
  return wrong('malformed', `${quote(text)} is not a limit`, 0, text.length, hint);
}

const LOCKED_BY = ['client', 'account'] as const;
const MAX_WINDOW_MS = 30 * UNIT_MS.d;

/** `5 failures in 10m per client and account`. The account's field is a key of its own. */
export function parseLockout(text: string): Parsed<Omit<Lockout, 'accountField'>> {
  const match =
    /^([0-9]{1,6}) failures? in ([0-9]{1,6})([smhd]) per (client|account)(?: and (client|account))?$/.exec(
      text,
    );
  if (match === null) return diagnoseLockout(text);
  const [, count, amount, unit, first, second] = match;
  const failures = Number(count);
  const windowMs = Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
  if (failures === 0 || windowMs === 0 || windowMs > MAX_WINDOW_MS) {
    return wrong(
      'out-of-range',
      'a lockout counts at least one failure in a window of 1s to 30d',
      0,
      text.length,
    );
  }
  if (first === second)
    return wrong(
      'duplicate-entry',
      `${quote(first ?? '')} stands here twice`,
      text.lastIndexOf(' ') + 1,
      (second ?? '').length,
    );
  const per = [first, second].filter((word): word is 'client' | 'account' => word !== undefined);
  return parsed({ failures, windowMs, per, text });
}

function diagnoseLockout(text: string): Wrong {
  const by = / per ([a-z]+)(?: and ([a-z]+))?$/.exec(text);
  for (const word of by?.slice(1) ?? []) {
    if (word === undefined || LOCKED_BY.some(known => known === word)) continue;
    return wrong(
      'unknown-word',
      `${quote(word)} cannot be locked out`,
      text.lastIndexOf(word),
      word.length,
      didYouMean(word, LOCKED_BY),
    );
  }
  return wrong(
    'malformed',
    `${quote(text)} is not a lockout`,
    0,
    text.length,
    'write it like `5 failures in 10m per client and account`',
  );
}

const SIZE_UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;
const MAX_SIZE = 64 * SIZE_UNITS.GiB;

/** `64KiB`, in bytes */
export function parseSize(text: string): Parsed<number> {
  const match = /^([0-9]{1,10})(B|KiB|MiB|GiB)$/.exec(text);
  if (match === null) {
    const near = /^([0-9]{1,10}) ?([kmg])i?b?$/i.exec(text);
    const unit = near?.[2] === undefined ? undefined : `${near[2].toUpperCase()}iB`;
    const hint =
      unit === undefined
        ? 'write it like `512B`, `64KiB` or `1MiB`'
        : `did you mean \`${near?.[1]}${unit}\`?`;
    return wrong('malformed', `${quote(text)} is not a size`, 0, text.length, hint);
  }
  const bytes = Number(match[1]) * SIZE_UNITS[match[2] as keyof typeof SIZE_UNITS];
  if (bytes > MAX_SIZE) return wrong('out-of-range', 'a size is at most 64GiB', 0, text.length);
  return parsed(bytes);
}

/** `http 8080` */
export function parseListen<T extends string>(
  text: string,
  protocols: readonly T[],
): Parsed<{ protocol: T; port: number }> {
  const example = `${protocols[0]} 8080`;
  const match = /^([A-Za-z0-9]+) ([0-9]+)$/.exec(text);
  const [, word, digits] = match ?? [];
  if (word === undefined || digits === undefined) {
    return wrong(
      'malformed',
      `${quote(text)} is not a protocol and a port`,
      0,
      text.length,
      `write it like \`${example}\``,
    );
  }
  const protocol = protocols.find(known => known === word);
  if (protocol === undefined) {
    return wrong(
      'unknown-word',
      `${quote(word)} is not a protocol that can be served here`,
      0,
      word.length,
      didYouMean(word, protocols),
    );
  }
  const port = Number(digits);
  if (digits.length > 5 || digits.startsWith('0') || port > 65_535) {
    return wrong(
      'out-of-range',
      `${quote(digits)} is not a port`,
      word.length + 1,
      digits.length,
      'ports are 1 to 65535',
    );
  }
  return parsed({ protocol, port });
}

/** Splits a command at spaces; quotes group, a backslash keeps the next character. No shell: nothing is expanded. */
export function splitCommand(text: string): Parsed<[string, ...string[]]> {
  const words: string[] = [];
  let word: string | undefined;
  let quoteMark = '';
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charAt(index);
    if (unit === '\\' && quoteMark !== "'" && index + 1 < text.length) {
      index += 1;
      word = (word ?? '') + text.charAt(index);
    } else if (quoteMark !== '') {
      if (unit === quoteMark) quoteMark = '';
      else word = (word ?? '') + unit;
    } else if (unit === '"' || unit === "'") {
      quoteMark = unit;
      word ??= '';
    } else if (/\s/.test(unit)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if ('|&;<>$`'.includes(unit)) {
      const hint = 'quote it, or run a shell: `command: [sh, -c, "…"]`';
      return wrong(
        'shell-syntax',
        `${quote(unit)} means nothing here: no shell reads this command`,
        index,
        1,
        hint,
      );
    } else {
      word = (word ?? '') + unit;
    }
  }
  if (quoteMark !== '') {
    return wrong(
      'malformed',
      'a quote is not closed',
      text.indexOf(quoteMark),
      1,
      `close it with ${quoteMark === '"' ? '`"`' : "`'`"}`,
    );
  }
  if (word !== undefined) words.push(word);
  const [program, ...rest] = words;
  if (program === undefined || program === '')
    return wrong('malformed', 'the command names no program', 0, text.length);
  return parsed([program, ...rest]);
}

function didYouMean(typed: string, known: readonly string[]): string {
  const nearest = nearestName(typed, known);
  return nearest === undefined ? `possible here: ${known.join(', ')}` : `did you mean \`${nearest}\`?`;
}

function parsed<T>(value: T): Parsed<T> {
  return { kind: 'parsed', value };
}

function wrong(code: ProblemCode, message: string, index: number, length: number, hint?: string): Wrong {
  return {
    kind: 'wrong',
    code,
    message,
    index,
    length: Math.max(1, length),
    ...(hint === undefined ? {} : { hint }),
  };
}
