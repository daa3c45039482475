import type { BundleHost, BundleRoute, GatewayBundle, Upstream } from '#domain/bundle';
import { parsePattern, PathTable } from '#domain/path';
import { mintPermit, refuse, type Permit, type Refusal } from './permit.ts';

/** A route with the service that it leads to. One object per route, made once: it can key caches. */
export type EdgeRoute = {
  readonly kind: 'route';
  readonly route: BundleRoute;
  readonly upstream: Upstream;
};

export type EdgeMatch =
  | EdgeRoute
  | (Refusal & {
      readonly reason: 'unknown-host' | 'no-route' | 'method-not-allowed';
      /** With `method-not-allowed`: what the path allows, for the `Allow` field (RFC 9110 §10.2.1). */
      readonly allow: readonly string[];
    });

/** What the gateway knows of who asks. */
export type CallerFacts =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly scopes: ReadonlySet<string> }
  | { readonly kind: 'application' };

export type EdgePolicy = {
  /** Finds the route for a request: `host` in lower case without port, `path` normalised. */
  readonly route: (host: string, method: string, path: string) => EdgeMatch;
  /** Decides whether this caller may use the route. `credentials-missing` asks for a sign-in. */
  readonly authorize: (match: EdgeRoute, caller: CallerFacts) => Permit | Refusal;
};

type Candidate = { readonly entry: EdgeRoute; readonly methods: ReadonlySet<string> };

export function compileEdgePolicy(bundle: GatewayBundle): EdgePolicy {
  const upstreams = new Map(bundle.upstreams.map(upstream => [upstream.service, upstream]));
  const hosts = new Map(bundle.hosts.map(host => [host.host, compileHost(host, upstreams)]));
  const revoked = new Set(bundle.revoked.identities);
  const permits = new Map(
    bundle.hosts.flatMap(({ routes }) => routes.map(route => [route.rule, mintPermit(route.rule)])),
  );

  return {
    route: (host, method, path) => {
      const table = hosts.get(host);
      if (table === undefined) return noRoute('unknown-host');
      const candidates = table.match(path);
      for (const { entry, methods } of candidates) {
        if (methods.has(method)) return entry;
      }
      const nearest = candidates[0];
      if (nearest === undefined) return noRoute('no-route');
      const allow = new Set(candidates.flatMap(({ methods }) => [...methods]));
      return {
        ...refuse('method-not-allowed', nearest.entry.route.rule),
        reason: 'method-not-allowed',
        allow: [...allow],
      };
    },
    authorize: ({ route, upstream }, caller) => {
      if (revoked.has(bundle.identity)) return refuse('caller-revoked', route.rule);
      if (revoked.has(upstream.identity)) return refuse('callee-revoked', route.rule);
      if (!route.clients.includes('anonymous')) {
        if (caller.kind === 'anonymous') return refuse('credentials-missing', route.rule);
        if (!route.clients.includes(caller.kind)) return refuse('client-kind-refused', route.rule);
      }
      if (route.scopes.length > 0 && !hasScopes(caller, route.scopes)) {
        return refuse(caller.kind === 'anonymous' ? 'credentials-missing' : 'scope-missing', route.rule);
      }
      const permit = permits.get(route.rule);
      return permit ?? refuse('no-route', route.rule);
    },
  };
}

function hasScopes(caller: CallerFacts, needed: readonly string[]): boolean {
  return caller.kind === 'user' && needed.every(scope => caller.scopes.has(scope));
}

function compileHost(host: BundleHost, upstreams: ReadonlyMap<string, Upstream>): PathTable<Candidate> {
  const table = new PathTable<Candidate>();
  for (const route of host.routes) {
    const parsed = parsePattern(route.path);
    const upstream = upstreams.get(route.to);
    // INVARIANT: bundles are compiled from a checked model; a route that cannot be read must not vanish silently.
    if (parsed.kind === 'refused') throw new TypeError(`bundle has a bad path pattern in ${route.rule}`);
    if (upstream === undefined) throw new TypeError(`bundle has no upstream for ${route.rule}`);
    table.add(parsed.pattern, {
      entry: { kind: 'route', route, upstream },
      methods: new Set<string>(route.methods),
    });
  }
  return table;
}

function noRoute(reason: 'unknown-host' | 'no-route'): EdgeMatch {
  return { kind: 'refused', reason, nearest: '', allow: [] };
}
