import type { Call, Method, Model, Route } from '#domain/model';
import { examplePath } from '#domain/path';
import type { Message, Probe, TokenRecipe } from './attack.ts';

/** Facts of the running system that the model does not hold. */
export type Terrain = {
  /** Whether each service stands in a network namespace of its own. */
  readonly hasNamespaces: boolean;
  /** Whether tokens of the issuer can be had: only the built-in one gives them. */
  readonly hasTokens: boolean;
  readonly points: readonly string[];
};

/** A legitimate way to a service. */
export type Entry = EdgeEntry | InboundEntry;

export type EdgeEntry = {
  readonly kind: 'edge';
  readonly service: string;
  readonly host: string;
  readonly route: Route;
  readonly method: Method;
  readonly path: string;
  readonly token: TokenRecipe;
};

export type InboundEntry = {
  readonly kind: 'inbound';
  readonly service: string;
  readonly caller: string;
  readonly call: Call;
};

/** What attacks are aimed at: the model, and every legitimate way into each service. */
export type Field = Terrain & {
  readonly model: Model;
  readonly edgeEntries: readonly EdgeEntry[];
  readonly inboundEntries: readonly InboundEntry[];
  /** One edge entry for each service that has any: an open GET before others. */
  readonly doors: readonly EdgeEntry[];
  /** One way into each service: from a service before the edge. */
  readonly entries: readonly Entry[];
};

export function createField(model: Model, terrain: Terrain): Field {
  const edgeEntries = collectEdgeEntries(model).filter(
    ({ token }) => token.kind === 'none' || terrain.hasTokens,
  );
  const inboundEntries = collectInboundEntries(model);
  const doors = firstOfEach([...edgeEntries].sort((a, b) => effort(a) - effort(b)));
  const entries = firstOfEach<Entry>([...inboundEntries, ...doors]);
  return { ...terrain, model, edgeEntries, inboundEntries, doors, entries };
}

function collectEdgeEntries(model: Model): EdgeEntry[] {
  return model.edge.hosts.flatMap(({ host, routes }) =>
    routes.map((route): EdgeEntry => {
      const needsUser = !route.clients.includes('anonymous') || route.scopes.length > 0;
      return {
        kind: 'edge',
        service: route.to,
        host,
        route,
        method: route.methods.find(isSafe) ?? route.methods[0] ?? 'GET',
        path: examplePath(route.path),
        token: needsUser ? { kind: 'valid', scopes: route.scopes } : { kind: 'none' },
      };
    }),
  );
}

function collectInboundEntries(model: Model): InboundEntry[] {
  return [...model.services.values()].flatMap(({ name, calls }) =>
    calls.flatMap(({ service, calls: list }) =>
      list.map((call): InboundEntry => ({ kind: 'inbound', service, caller: name, call })),
    ),
  );
}

/** Orders entries by how little they disturb: no lockout, no token, a safe method. */
function effort({ route, method, token }: EdgeEntry): number {
  return (route.lockout === undefined ? 0 : 4) + (token.kind === 'none' ? 0 : 2) + (isSafe(method) ? 0 : 1);
}

function isSafe(method: Method): boolean {
  return method === 'GET' || method === 'HEAD';
}

function firstOfEach<E extends Entry>(entries: readonly E[]): E[] {
  const first = new Map<string, E>();
  for (const entry of entries) if (!first.has(entry.service)) first.set(entry.service, entry);
  return [...first.values()];
}

/** The request that is allowed on this way, as a probe: the positive control of attacks on it. */
export function legitimate(entry: Entry): Probe {
  if (entry.kind === 'edge') return edgeProbe(entry, requestOf(entry));
  return {
    kind: 'inbound',
    service: entry.service,
    certificate: { kind: 'service', service: entry.caller },
    message: messageOfCall(entry.call),
  };
}

export function edgeProbe(entry: EdgeEntry, message: Message, token: TokenRecipe = entry.token): Probe {
  return { kind: 'edge', host: entry.host, message, token };
}

/** The request that a route is for. A sign-in names its account, and no password: so no guess is counted. */
export function requestOf(
  { method, path, route }: EdgeEntry,
  headers: readonly (readonly [string, string])[] = [],
  query = '',
): Message {
  const message = messageOf(method, path + query, headers);
  const account = route.lockout?.accountField;
  if (account === undefined || message.kind !== 'request') return message;
  const fields = [...headers, ['Content-Type', 'application/json'] as const];
  return { ...message, headers: fields, body: JSON.stringify({ [account]: 'prover' }) };
}

export function messageOf(
  method: string,
  path: string,
  headers: readonly (readonly [string, string])[] = [],
): Message {
  return { kind: 'request', method, path, headers };
}

export function messageOfCall(call: Call): Message {
  return call.kind === 'connect' ? { kind: 'nothing' } : messageOf(call.method, examplePath(call.path));
}

/** `frontend → cart: GET /cart/example-1`, or `shop.test: GET /`. */
export function describeEntry(entry: Entry): string {
  if (entry.kind === 'edge') return `${entry.host}: ${entry.method} ${entry.path}`;
  const call =
    entry.call.kind === 'connect' ? 'connect' : `${entry.call.method} ${examplePath(entry.call.path)}`;
  return `${entry.caller} → ${entry.service}: ${call}`;
}

/** The request on `entry`'s way with other bytes: for attacks that a codec must refuse. */
export function onEntry(entry: Entry, message: Message): Probe {
  if (entry.kind === 'edge') return edgeProbe(entry, message);
  return {
    kind: 'inbound',
    service: entry.service,
    certificate: { kind: 'service', service: entry.caller },
    message,
  };
}
