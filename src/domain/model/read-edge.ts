import { quote } from '#base/error';
import { DEFAULT_EDGE_PORT, DEFAULTS } from './defaults.ts';
import { parseLimit, parseListen, parseLockout, parseSize } from './grammar.ts';
import type { Edge, EdgeHost, Issuer, Limit, Lockout, Method, Route, Service } from './model.ts';
import type { Reading } from './reading.ts';
import type { Text } from './shape.ts';
import type { EdgeRead, RouteRead } from './vocabulary.ts';

/** What a route refers to. */
export type Known = {
  readonly services: ReadonlyMap<string, Service>;
  readonly issuers: readonly Issuer[];
  /** Whether users can sign in at all, also where an issuer was not readable. */
  readonly hasIssuers: boolean;
};

/** The edge; what is incomplete in it is left out, after its problems were reported. */
export function readEdge(edge: EdgeRead | undefined, known: Known, reading: Reading): Edge {
  const listen = edge?.fields.listen;
  const port =
    (listen && reading.take(listen, parseListen(listen.text, ['https']))?.port) ?? DEFAULT_EDGE_PORT;
  const conflicting = known.issuers.find(issuer => issuer.port === port);
  if (conflicting !== undefined) {
    const span = listen ?? edge ?? { start: 0, end: 1 };
    const hint = 'give one of them another port';
    reading.problems.add(
      'port-conflict',
      `port ${port} is the local issuer's already`,
      { start: span.start, end: listen?.end ?? span.start + 1 },
      hint,
    );
  }
  const hosts = (edge?.fields.hosts?.entries ?? []).map(({ key, value }): EdgeHost => ({
    host: key.text,
    routes: readRoutes(key, value?.items ?? [], known, reading),
    at: reading.at(key),
  }));
  return { port, hosts };
}

function readRoutes(host: Text, reads: readonly RouteRead[], known: Known, reading: Reading): Route[] {
  const routes: Route[] = [];
  const answered = new Map<string, Route>();
  for (const [index, read] of reads.entries()) {
    const route = readRoute(read, `edge/${host.text}/${index}`, known, reading);
    if (route === undefined) continue;
    routes.push(route);
    const again = route.methods.find(method => answered.has(keyOf(route, method)));
    if (again !== undefined) {
      const key = keyOf(route, again);
      const hint = `the first is in line ${answered.get(key)?.at.line}`;
      reading.problems.add(
        'duplicate-route',
        `\`${key}\` has a route already`,
        read.fields.path ?? read,
        hint,
      );
    }
    for (const method of route.methods) answered.set(keyOf(route, method), route);
  }
  return routes;
}

// Equal normal texts are equal patterns, and of two different ones `compareSpecificity` always puts one first: so
// only equal ones leave open which route decides.
function keyOf(route: Route, method: Method): string {
  return `${method} ${route.path.text}`;
}

function readRoute(read: RouteRead, rule: string, known: Known, reading: Reading): Route | undefined {
  const { fields } = read;
  const path = fields.path && reading.pattern(fields.path);
  const limits = (fields.limits?.items ?? []).map(text => reading.take(text, parseLimit(text.text)));
  const lockout = readLockout(read, reading);
  const maxRequestBytes =
    fields.maxRequest && reading.take(fields.maxRequest, parseSize(fields.maxRequest.text));
  const maxResponseBytes =
    fields.maxResponse && reading.take(fields.maxResponse, parseSize(fields.maxResponse.text));
  checkTarget(fields.to, reading);
  checkClients(read, known, limits, reading);
  const service = fields.to && known.services.get(fields.to.text);
  if (
    path === undefined ||
    fields.methods === undefined ||
    service === undefined ||
    fields.clients === undefined
  )
    return undefined;

  const clients = fields.clients.items.map(({ value }) => value);
  const defaults = DEFAULTS[service.data];
  warnOfDefaultLimits(read, service, reading);
  return {
    rule,
    path,
    methods: fields.methods.items.map(({ value }) => value),
    to: service.name,
    clients,
    scopes: (fields.scopes?.items ?? []).map(({ text }) => text),
    limits:
      fields.limits === undefined
        ? [defaultLimit(service, clients)]
        : limits.filter(limit => limit !== undefined),
    lockout,
    maxRequestBytes: maxRequestBytes ?? bytesOf(defaults.maxRequest),
    maxResponseBytes: maxResponseBytes ?? bytesOf(defaults.maxResponse),
    at: reading.at(read),
  };
}

function checkTarget(to: Text | undefined, reading: Reading): void {
  if (to === undefined || !reading.isDeclared(to)) return;
  if (reading.protocols.get(to.text) === 'tcp') {
    reading.problems.add(
      'wrong-protocol',
      `\`${to.text}\` speaks tcp: the edge leads to http and grpc services`,
      to,
    );
  }
}

function checkClients(
  { fields }: RouteRead,
  known: Known,
  limits: readonly (Limit | undefined)[],
  { problems }: Reading,
): void {
  if (fields.clients === undefined) return;
  const kinds = new Set(fields.clients.items.map(({ value }) => value));
  const user = fields.clients.items.find(({ value }) => value === 'user');
  if (user !== undefined && !known.hasIssuers) {
    problems.add(
      'issuer-missing',
      'nobody can sign in: no issuer is declared',
      user,
      'declare one under `users: issuers:`',
    );
  }
  const admitsOthers = kinds.has('anonymous') || !kinds.has('user');
  if (fields.scopes !== undefined && admitsOthers) {
    const message = kinds.has('anonymous')
      ? '`anonymous` admits everybody, whatever the scopes'
      : 'scopes are for users';
    problems.add('no-effect', message, fields.scopes, 'write `clients: [user]`');
  }
  for (const [index, limit] of limits.entries()) {
    const text = fields.limits?.items[index];
    if (limit?.per !== 'user' || !admitsOthers || text === undefined) continue;
    problems.add(
      'no-effect',
      'a limit per user does not count clients without one',
      text,
      'count `per client`',
    );
  }
  if (kinds.has('anonymous') && kinds.size > 1) {
    problems.add(
      'redundant-client',
      '`anonymous` admits everybody, signed in or not',
      fields.clients,
      'write `clients: [anonymous]`',
    );
  }
}

function readLockout({ fields, present }: RouteRead, reading: Reading): Lockout | undefined {
  const { lockout: text, account } = fields;
  if (text === undefined) {
    if (account !== undefined && !present.has('lockout')) {
      reading.problems.add(
        'lockout-account',
        '`account` belongs to a lockout',
        account,
        'write `lockout: 5 failures in 10m per client and account`',
      );
    }
    return undefined;
  }
  const lockout = reading.take(text, parseLockout(text.text));
  if (lockout === undefined) return undefined;
  const isPerAccount = lockout.per.includes('account');
  if (isPerAccount && !present.has('account')) {
    const hint = 'say which field of the body names it: `account: name`';
    reading.problems.add('lockout-account', 'a lockout per account needs to know the account', text, hint);
  }
  if (!isPerAccount && account !== undefined) {
    reading.problems.add(
      'lockout-account',
      'the lockout does not count per account',
      account,
      `write \`per client and account\``,
    );
  }
  return { ...lockout, accountField: isPerAccount ? account?.text : undefined };
}

function warnOfDefaultLimits({ fields }: RouteRead, service: Service, { problems }: Reading): void {
  const { limits, clients, path } = fields;
  if (limits !== undefined || clients === undefined || path === undefined) return;
  const kinds = clients.items.map(({ value }) => value);
  const isSensitive = service.data === 'confidential' || service.data === 'restricted';
  if (!isSensitive && !kinds.includes('user')) return;
  const { text } = defaultLimit(service, kinds);
  problems.add(
    'default-limits',
    `no limits are written: \`${text}\` holds, by the classification of \`${service.name}\``,
    path,
    `write \`limits: [${text}]\`, or what suits ${quote(path.text)}`,
  );
}

function defaultLimit({ data }: Service, clients: readonly string[]): Limit {
  const per = clients.every(kind => kind === 'user') ? 'user' : 'client';
  const parsed = parseLimit(`${DEFAULTS[data].limit} per ${per}`);
  if (parsed.kind === 'wrong') throw new TypeError(`default limit: ${parsed.message}`);
  return parsed.value;
}

function bytesOf(text: string): number {
  const parsed = parseSize(text);
  if (parsed.kind === 'wrong') throw new TypeError(`default size: ${parsed.message}`);
  return parsed.value;
}
