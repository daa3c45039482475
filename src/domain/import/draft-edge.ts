import { type Note, type Unit, type Way, plain } from '#domain/manifest';
import { parsePattern } from '#domain/path';
import type { Method, Position } from '#domain/model';
import { leadsTo, type Listen } from './choose-listen.ts';
import type { DraftRoute } from './draft.ts';
import { toLabel } from './name-units.ts';

export type DraftHost = {
  readonly host: string;
  /** No manifest names it. */
  readonly isMadeUp: boolean;
  readonly from: string;
  readonly at: Position;
  readonly routes: readonly DraftRoute[];
};

type Context = {
  readonly system: string;
  readonly keys: ReadonlyMap<Unit, string>;
  readonly listens: ReadonlyMap<Unit, Listen>;
  readonly notes: Note[];
};

const WIDE: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const ALL: readonly Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const HOST =
  /^(?!(?:.*\.)?[0-9]+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** Turns the ways in into hosts and routes. What a route cannot say is noted. */
export function draftEdge(ways: readonly Way[], context: Context): readonly DraftHost[] {
  const hosts = new Map<string, DraftHost & { routes: DraftRoute[] }>();
  for (const way of ways) {
    const listen = context.listens.get(way.to);
    const to = context.keys.get(way.to);
    if (listen === undefined || to === undefined) continue;
    const untold = (why: string) =>
      context.notes.push({ kind: 'edge', message: `${way.from} ${why}: not written`, at: way.at });
    if (!leadsTo(way.toPort, listen.door) && way.to.doors.some(door => leadsTo(way.toPort, door))) {
      untold(`leads to port ${way.toPort} of ${to}, the model carries its port ${listen.port}`);
      continue;
    }
    if (listen.protocol === 'tcp') {
      untold(`leads to ${to}, which speaks tcp; the edge carries HTTP only`);
      continue;
    }
    const host = way.host?.toLowerCase() ?? `${toLabel(way.hostStem ?? to)}.${context.system}.test`;
    if (!HOST.test(host) || host.length > 253) {
      untold(`answers for ${plain(host)}; the model names hosts one by one`);
      continue;
    }
    const route = routeOf(way, to, listen);
    if (route === undefined) {
      untold(`has the path ${plain(way.path)}, which is no path pattern`);
      continue;
    }
    const entry = hosts.get(host) ?? {
      host,
      isMadeUp: way.host === undefined,
      from: way.from,
      at: way.at,
      routes: [],
    };
    hosts.set(host, entry);
    addRoute(entry.routes, route, untold);
  }
  return [...hosts.values()];
}

function routeOf(way: Way, to: string, listen: Listen): DraftRoute | undefined {
  const isGrpc = listen.protocol === 'grpc';
  const pattern = parsePattern(isGrpc && way.path === '/**' ? '/*/*' : way.path);
  if (pattern.kind === 'refused') return undefined;
  const asked = way.methods?.flatMap(method => ALL.filter(known => known === method));
  const methods = isGrpc ? (['POST'] as const) : asked !== undefined && asked.length > 0 ? asked : WIDE;
  return { path: pattern.pattern.text, methods, to, from: way.from, at: way.at, remark: way.remark };
}

/** Two routes for one path and method would leave open which one answers. */
function addRoute(routes: DraftRoute[], route: DraftRoute, untold: (why: string) => void): void {
  const taken = routes.filter(other => other.path === route.path).flatMap(other => other.methods);
  const methods = route.methods.filter(method => !taken.includes(method));
  if (methods.length > 0) routes.push({ ...route, methods });
  else if (!routes.some(other => other.path === route.path && other.to === route.to))
    untold(`has the path ${route.path}, which leads elsewhere already`);
}
