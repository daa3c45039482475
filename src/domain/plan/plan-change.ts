import type { Edge, Model, Position, Route, Service } from '#domain/model';
import { coversPattern, type PathPattern } from '#domain/path';
import { CLASSIFICATIONS } from '#domain/rings';

/** `opens` and `loosens` deserve a reviewer's eye; `closes` and `tightens` may break callers. */
export type ChangeKind = 'opens' | 'closes' | 'loosens' | 'tightens';

export type Change = {
  readonly kind: ChangeKind;
  /** `outside → frontend: GET /orders/**` */
  readonly what: string;
  /** In the new model; in the old one for what is closed. */
  readonly at: Position;
};

type Way = {
  readonly from: string;
  readonly to: string;
  readonly method: string;
  readonly path: PathPattern | undefined;
  readonly at: Position;
};

/** Compares two checked models. Changes come in the order of the new model, then what is gone. */
export function planChange(before: Model, after: Model): Change[] {
  const old = groupWays(collectWays(before));
  const next = groupWays(collectWays(after));
  return [
    ...missingFrom(old, next).map((way): Change => ({ kind: 'opens', what: describe(way), at: way.at })),
    ...compareRoutes(before.edge, after.edge),
    ...compareServices(before, after),
    ...missingFrom(next, old).map((way): Change => ({ kind: 'closes', what: describe(way), at: way.at })),
  ];
}

function* collectWays(model: Model): Generator<Way> {
  for (const { host, routes } of model.edge.hosts) {
    for (const { methods, path, to, at } of routes) {
      for (const method of methods) yield { from: `outside (${host})`, to, method, path, at };
    }
  }
  for (const { name, calls, egress } of model.services.values()) {
    for (const callee of calls) {
      for (const call of callee.calls) {
        yield call.kind === 'connect'
          ? { from: name, to: callee.service, method: 'connect', path: undefined, at: call.at }
          : { from: name, to: callee.service, method: call.method, path: call.path, at: call.at };
      }
    }
    for (const { origin, at } of egress)
      yield { from: name, to: origin, method: 'reach', path: undefined, at };
  }
}

function groupWays(ways: Iterable<Way>): ReadonlyMap<string, readonly Way[]> {
  return Map.groupBy(ways, ({ from, to, method }) => JSON.stringify([from, to, method]));
}

/** The ways of `ways` that no single way of `others` covers. */
function missingFrom(
  others: ReadonlyMap<string, readonly Way[]>,
  ways: ReadonlyMap<string, readonly Way[]>,
): Way[] {
  return [...ways].flatMap(([key, group]) => {
    const rivals = others.get(key) ?? [];
    return group.filter(way => !rivals.some(rival => covers(rival, way)));
  });
}

function covers(wide: Way, narrow: Way): boolean {
  if (wide.path === undefined || narrow.path === undefined) return wide.path === narrow.path;
  return coversPattern(wide.path, narrow.path);
}

/** The conditions of routes that stand in both models for the same host, method, path and service. */
function compareRoutes(before: Edge, after: Edge): Change[] {
  const old = new Map([...eachRoute(before)].map(({ key, route }) => [key, route]));
  const compared = new Set<Route>();
  return [...eachRoute(after)].flatMap(({ key, host, route }) => {
    const previous = old.get(key);
    if (previous === undefined || compared.has(route)) return [];
    compared.add(route);
    return compareRoute(host, previous, route);
  });
}

function* eachRoute({
  hosts,
}: Edge): Generator<{ readonly key: string; readonly host: string; readonly route: Route }> {
  for (const { host, routes } of hosts) {
    for (const route of routes) {
      for (const method of route.methods) {
        yield { key: JSON.stringify([host, method, route.path.text, route.to]), host, route };
      }
    }
  }
}

function compareRoute(host: string, before: Route, after: Route): Change[] {
  const where = `${host}${after.path.text}`;
  const changes: Change[] = [];
  const note = (kind: ChangeKind, what: string) =>
    changes.push({ kind, what: `${where}: ${what}`, at: after.at });

  for (const client of after.clients) {
    if (!before.clients.includes(client)) note('loosens', `admits ${client} clients`);
  }
  for (const client of before.clients) {
    if (!after.clients.includes(client)) note('tightens', `no longer admits ${client} clients`);
  }
  for (const scope of before.scopes)
    if (!after.scopes.includes(scope)) note('loosens', `no longer asks for scope ${scope}`);
  for (const scope of after.scopes)
    if (!before.scopes.includes(scope)) note('tightens', `asks for scope ${scope}`);

  const limits = (route: Route) => route.limits.map(({ text }) => text).join(', ') || 'none';
  if (limits(before) !== limits(after))
    note(limitKind(before, after), `limits ${limits(before)} → ${limits(after)}`);
  if (before.lockout?.text !== after.lockout?.text) {
    const loosens = after.lockout === undefined || (before.lockout?.failures ?? 0) < after.lockout.failures;
    note(
      before.lockout !== undefined && loosens ? 'loosens' : 'tightens',
      `lockout ${before.lockout?.text ?? 'none'} → ${after.lockout?.text ?? 'none'}`,
    );
  }
  if (before.maxRequestBytes !== after.maxRequestBytes) {
    const kind = after.maxRequestBytes > before.maxRequestBytes ? 'loosens' : 'tightens';
    note(kind, `maxRequest ${before.maxRequestBytes} → ${after.maxRequestBytes} bytes`);
  }
  if (before.maxResponseBytes !== after.maxResponseBytes) {
    const kind = after.maxResponseBytes > before.maxResponseBytes ? 'loosens' : 'tightens';
    note(kind, `maxResponse ${before.maxResponseBytes} → ${after.maxResponseBytes} bytes`);
  }
  return changes;
}

/** Looser as soon as one old limit has no successor of the same kind that is at least as strict. */
function limitKind(before: Route, after: Route): ChangeKind {
  const isKept = before.limits.every(old =>
    after.limits.some(
      limit =>
        limit.per === old.per &&
        limit.requests / limit.perMs <= old.requests / old.perMs &&
        limit.burst <= old.burst,
    ),
  );
  return isKept ? 'tightens' : 'loosens';
}

function compareServices(before: Model, after: Model): Change[] {
  return [...after.services.values()].flatMap(service => {
    const previous = before.services.get(service.name);
    return previous === undefined ? [] : compareService(previous, service);
  });
}

function compareService(before: Service, after: Service): Change[] {
  const changes: Change[] = [];
  const note = (kind: ChangeKind, what: string) =>
    changes.push({ kind, what: `${after.name}: ${what}`, at: after.at });
  if (before.data !== after.data) {
    const rises = CLASSIFICATIONS.indexOf(after.data) > CLASSIFICATIONS.indexOf(before.data);
    note(rises ? 'tightens' : 'loosens', `data ${before.data} → ${after.data}`);
  }
  if (before.record !== after.record) {
    note(after.record === 'durable' ? 'tightens' : 'loosens', `record ${before.record} → ${after.record}`);
  }
  return changes;
}

function describe({ from, to, method, path }: Way): string {
  return path === undefined ? `${from} → ${to}: ${method}` : `${from} → ${to}: ${method} ${path.text}`;
}
