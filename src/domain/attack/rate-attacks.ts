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

const tooLong: Attack = {
  id: 'rate/body-length',
  ring: 'rate',
  vantage: 'outside',
  title: 'announces a body beyond the limit',
  references: ['API4:2023', 'CWE-770', 'ASVS 5.2.1'],
  aim: field =>
    field.doors.flatMap(entry => {
      const size = entry.route.maxRequestBytes + 1;
      const text = `${entry.method} ${entry.path} HTTP/1.1\r\nHost: ${entry.host}\r\nContent-Length: ${size}\r\n\r\n`;
      return shot(tooLong, {
        place: entry.service,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path} with ${size} bytes`,
        probe: edgeProbe(entry, { kind: 'raw', text }),
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['request-too-large'], atOnce: true },
      });
    }),
};

/** More than this is not sent to find out. */
const MOST_BYTES = 4 * 1024 * 1024;

/** At routes that take a body, for there the service waits for its end; the smallest limit of each service. */
const tooMuch: Attack = {
  id: 'rate/body-chunks',
  ring: 'rate',
  vantage: 'outside',
  title: 'sends a body beyond the limit in chunks, without a length',
  references: ['API4:2023', 'CWE-770', 'ASVS 5.2.1'],
  aim: field =>
    takingBodies(field).flatMap(entry => {
      const account = entry.route.lockout?.accountField ?? 'name';
      const body = JSON.stringify({ [account]: 'prover', padding: 'a'.repeat(entry.route.maxRequestBytes) });
      const size = body.length;
      const head = `${entry.method} ${entry.path} HTTP/1.1\r\nHost: ${entry.host}\r\nContent-Type: application/json\r\n`;
      return shot(tooMuch, {
        place: entry.service,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path} with ${size} bytes in chunks`,
        probe: edgeProbe(entry, {
          kind: 'raw',
          text: `${head}Transfer-Encoding: chunked\r\n\r\n${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
        }),
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['request-too-large'] },
      });
    }),
};

function takingBodies(field: Field): readonly EdgeEntry[] {
  const taking = field.edgeEntries
    .filter(
      ({ method, route }) =>
        !['GET', 'HEAD', 'DELETE', 'OPTIONS'].includes(method) && route.maxRequestBytes <= MOST_BYTES,
    )
    .sort((a, b) => a.route.maxRequestBytes - b.route.maxRequestBytes);
  const services = new Set(taking.map(({ service }) => service));
  return [...services].flatMap(service => taking.find(entry => entry.service === service) ?? []);
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

export const RATE_ATTACKS: readonly Attack[] = [...bursts, ...lockouts, tooLong, tooMuch, slowHead];
