import { shot } from './shot.ts';
import type { Attack, Message, Variation } from './attack.ts';
import { edgeProbe, legitimate, messageOf, type EdgeEntry, type Field } from './field.ts';

/** More than the largest burst that a proof should send; routes that allow more are said to be beyond it. */
const MOST_REQUESTS = 400;

const BURSTS: readonly {
  readonly variation: Variation;
  readonly title: string;
  readonly references: readonly string[];
}[] = [
  {
    variation: 'none',
    title: 'asks more often than the limit allows',
    references: ['API4:2023', 'CWE-770', 'T1499'],
  },
  {
    variation: 'forwarded-for',
    title: 'floods with a new X-Forwarded-For each time',
    references: ['CWE-348', 'ASVS 2.4.1'],
  },
  {
    variation: 'drop-anonymous-id',
    title: 'floods and drops its anonymous id each time',
    references: ['CWE-770', 'ASVS 2.4.1'],
  },
  {
    variation: 'forge-anonymous-id',
    title: 'floods with a forged anonymous id each time',
    references: ['CWE-345', 'CWE-770'],
  },
  { variation: 'other-path', title: 'floods with another query each time', references: ['CWE-770'] },
];

const bursts = BURSTS.map(({ variation, title, references }) => {
  const attack: Attack = {
    id: `rate/flood-${variation}`,
    ring: 'rate',
    vantage: 'outside',
    title,
    references,
    aim: field =>
      floodable(field).flatMap(entry => {
        // Without its id a caller counts as its address, which has ten times the limit of one client.
        const perAddress = variation === 'drop-anonymous-id' || variation === 'forge-anonymous-id';
        if (perAddress && entry.token.kind !== 'none') return [];
        const count = spent(entry) * (perAddress ? 12 : 1);
        if (count > MOST_REQUESTS * (perAddress ? 3 : 1)) return [];
        return shot(attack, {
          place: entry.service,
          service: entry.service,
          target: `${entry.host}: ${count} × ${entry.method} ${entry.path} (${entry.route.limits.map(({ text }) => text).join(', ')})`,
          probe: {
            kind: 'burst',
            host: entry.host,
            message: messageOf(entry.method, entry.path),
            token: entry.token,
            count,
            variation,
          },
          control: legitimate(entry),
          expect: { kind: 'refused', reasons: ['rate-limited'] },
        });
      }),
  };
  return attack;
});

/** How many requests must meet the limit: the burst, what flows back meanwhile, and some. */
function spent({ route }: EdgeEntry): number {
  const counts = route.limits
    .filter(({ per }) => per !== 'route')
    .map(({ burst, requests, perMs }) => burst + (requests / perMs) * 4_000 + 10);
  return counts.length === 0 ? Number.POSITIVE_INFINITY : Math.ceil(Math.min(...counts));
}

/** The route of each service whose limit is met soonest, of those that only read. */
function floodable(field: Field): readonly EdgeEntry[] {
  const limited = field.edgeEntries
    .filter(
      ({ method, route }) =>
        (method === 'GET' || method === 'HEAD') && route.limits.length > 0 && route.lockout === undefined,
    )
    .sort((a, b) => spent(a) - spent(b));
  const services = new Set(limited.map(({ service }) => service));
  return [...services].flatMap(service => limited.find(entry => entry.service === service) ?? []);
}

const LOCKOUTS: readonly { readonly variation: Variation; readonly title: string }[] = [
  { variation: 'none', title: 'guesses passwords' },
  { variation: 'forwarded-for', title: 'guesses passwords with a new X-Forwarded-For each time' },
  { variation: 'drop-anonymous-id', title: 'guesses passwords and drops its anonymous id each time' },
  { variation: 'other-case', title: 'guesses passwords and spells the account differently each time' },
];

const lockouts = LOCKOUTS.map(({ variation, title }) => {
  const attack: Attack = {
    id: `rate/guess-${variation}`,
    ring: 'rate',
    vantage: 'outside',
    title,
    references: ['CWE-307', 'ASVS 6.3.1', 'T1110'],
    aim: field =>
      field.edgeEntries.flatMap(entry => {
        const { lockout, methods } = entry.route;
        if (lockout === undefined || !methods.includes('POST')) return [];
        const account = lockout.accountField ?? 'name';
        return shot(attack, {
          place: entry.route.rule,
          service: entry.service,
          target: `${entry.host}: POST ${entry.path} (${lockout.text})`,
          probe: {
            kind: 'burst',
            host: entry.host,
            message: guess(entry.path, account, `prove-${variation}`),
            token: entry.token,
            count: lockout.failures * 2 + 5,
            variation,
          },
          control: undefined,
          expect: { kind: 'refused', reasons: ['locked-out'] },
        });
      }),
  };
  return attack;
});

function guess(path: string, field: string, account: string): Message {
  const body = JSON.stringify({ [field]: account, password: 'wrong' });
  return { kind: 'request', method: 'POST', path, headers: [['Content-Type', 'application/json']], body };
}

const SIZES = [
  { name: 'length', title: 'announces a body beyond the limit' },
  { name: 'chunks', title: 'sends a body beyond the limit in chunks' },
] as const;

const tooLarge = SIZES.map(({ name, title }) => {
  const attack: Attack = {
    id: `rate/body-${name}`,
    ring: 'rate',
    vantage: 'outside',
    title,
    references: ['API4:2023', 'CWE-770', 'ASVS 5.2.1'],
    aim: field =>
      field.doors.map(entry =>
        shot(attack, {
          place: entry.service,
          service: entry.service,
          target: `${entry.host}: ${entry.method} ${entry.path} with more than ${entry.route.maxRequestBytes} bytes`,
          probe: edgeProbe(entry, oversized(entry, name)),
          control: legitimate(entry),
          expect: { kind: 'refused', reasons: ['request-too-large'] },
        }),
      ),
  };
  return attack;
});

function oversized({ method, path, host, route }: EdgeEntry, how: 'length' | 'chunks'): Message {
  const head = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n`;
  const size = route.maxRequestBytes + 1;
  if (how === 'length') return { kind: 'raw', text: `${head}Content-Length: ${size}\r\n\r\n` };
  // The chunk announces all of it; sending some bytes is enough to be judged.
  return {
    kind: 'raw',
    text: `${head}Transfer-Encoding: chunked\r\n\r\n${size.toString(16)}\r\n${'a'.repeat(Math.min(size, 4_096))}`,
  };
}

const slowHead: Attack = {
  id: 'rate/slow-head',
  ring: 'rate',
  vantage: 'outside',
  title: 'sends the head of a request one byte at a time and never ends (slowloris)',
  references: ['CWE-400', 'CVE-2007-6750', 'T1499.002'],
  aim: field =>
    field.doors.map(entry =>
      shot(slowHead, {
        place: entry.service,
        service: entry.service,
        target: `${entry.host}: GET ${entry.path}, one byte at a time`,
        probe: { kind: 'slow-head', host: entry.host, path: entry.path, forMs: 15_000 },
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['request-timeout'], orClosed: true },
      }),
    ),
};

export const RATE_ATTACKS: readonly Attack[] = [...bursts, ...lockouts, ...tooLarge, slowHead];
