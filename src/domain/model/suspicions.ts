import { OUTSIDE, type Model, type Position, type Route, type Service } from './model.ts';
import { PROBLEM_CODES, type Problem, type ProblemCode } from './problem.ts';

/** What is legal in a model but suspicious. Linear in services and calls. */
export function findSuspicions(model: Model): Problem[] {
  return [
    ...findUnreached(model),
    ...findRestrictedCycles(model),
    ...findAnonymousReach(model),
    ...findWeakServices(model),
    ...findUnusedIssuers(model),
  ];
}

function warn(code: ProblemCode, message: string, at: Position, length: number, hint?: string): Problem {
  return {
    severity: PROBLEM_CODES[code].severity,
    code,
    message,
    at,
    length,
    ...(hint === undefined ? {} : { hint }),
  };
}

function findUnreached({ services, edge }: Model): Problem[] {
  const reached = new Set(edge.hosts.flatMap(({ routes }) => routes.map(({ to }) => to)));
  for (const service of services.values())
    for (const { service: callee } of service.calls) reached.add(callee);
  return [...services.values()]
    .filter(({ name }) => !reached.has(name))
    .map(({ name, at }) =>
      warn('unreached-service', `nothing calls \`${name}\` and no route reaches it`, at, name.length),
    );
}

/** One warning per knot of services that all call one another around: its shortest cycle through a restricted one. */
function findRestrictedCycles({ services }: Model): Problem[] {
  const knots = strongComponents(services);
  const reported = new Set<number>();
  const problems: Problem[] = [];
  for (const service of services.values()) {
    const knot = knots.get(service.name);
    if (service.data !== 'restricted' || knot === undefined || reported.has(knot)) continue;
    const cycle = shortestCycle(services, service.name, name => knots.get(name) === knot);
    if (cycle === undefined) continue;
    reported.add(knot);
    const hint = 'a cycle lets whoever takes one of these services come back into the restricted one';
    problems.push(
      warn(
        'restricted-cycle',
        `calls run in a circle through \`${service.name}\`: ${showPath(cycle)}`,
        service.at,
        service.name.length,
        hint,
      ),
    );
  }
  return problems;
}

/** The strongly connected component of each service (Tarjan 1972), without recursion: depth is the model's to choose. */
function strongComponents(services: ReadonlyMap<string, Service>): Map<string, number> {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const component = new Map<string, number>();
  const open: string[] = [];
  for (const root of services.keys()) {
    if (order.has(root)) continue;
    const path: { name: string; next: number }[] = [];
    const enter = (name: string): void => {
      order.set(name, order.size);
      low.set(name, order.size - 1);
      open.push(name);
      path.push({ name, next: 0 });
    };
    enter(root);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const callee = services.get(top.name)?.calls[top.next]?.service;
      top.next += 1;
      if (callee === undefined) {
        path.pop();
        const lowest = low.get(top.name) ?? 0;
        const parent = path.at(-1);
        if (parent !== undefined) low.set(parent.name, Math.min(low.get(parent.name) ?? 0, lowest));
        if (lowest === order.get(top.name)) {
          const id = lowest;
          for (let name = open.pop(); name !== undefined; name = open.pop()) {
            component.set(name, id);
            if (name === top.name) break;
          }
        }
      } else if (!order.has(callee)) {
        enter(callee);
      } else if (!component.has(callee)) {
        low.set(top.name, Math.min(low.get(top.name) ?? 0, order.get(callee) ?? 0));
      }
    }
  }
  return component;
}

/** The shortest way from a service along calls back to itself, breadth first. */
function shortestCycle(
  services: ReadonlyMap<string, Service>,
  start: string,
  isInside: (name: string) => boolean,
): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const name of queue) {
    for (const { service: callee } of services.get(name)?.calls ?? []) {
      if (!isInside(callee) || cameFrom.has(callee)) continue;
      cameFrom.set(callee, name);
      if (callee === start) return traceBack(cameFrom, start);
      queue.push(callee);
    }
  }
  return undefined;
}

function traceBack(cameFrom: ReadonlyMap<string, string>, start: string): string[] {
  const path = [start];
  for (let name = cameFrom.get(start); name !== undefined && name !== start; name = cameFrom.get(name))
    path.push(name);
  path.push(start);
  return path.reverse();
}

function findAnonymousReach(model: Model): Problem[] {
  const anywhere = reachFrom(
    model,
    routesOpenTo(model, () => true),
  );
  // Behind a front page everything is a few hops away, and somebody must answer logins: of confidential services
  // only those stand out that a route opens to everybody, without a lockout.
  const unguarded = routesOpenTo(model, ({ lockout }) => lockout === undefined);
  const problems: Problem[] = [];
  for (const { name, data, at } of model.services.values()) {
    const reach = anywhere.get(name);
    if (reach === undefined || !(data === 'restricted' || (data === 'confidential' && unguarded.has(name))))
      continue;
    const hops = reach.hops === 1 ? '1 hop' : `${reach.hops} hops`;
    const message = `\`${name}\` is ${data}, and anonymous clients reach it: ${showReach(anywhere, name)} (${hops})`;
    const hint = `admit only users on the routes to \`${reach.first[0]}\`${reach.hops === 1 ? '' : ', or split off what anonymous clients need'}`;
    problems.push(warn('anonymous-reach', message, at, name.length, hint));
  }
  return problems;
}

/** The services that anonymous clients reach directly. */
function routesOpenTo({ edge }: Model, isMeant: (route: Route) => boolean): Set<string> {
  const routes = edge.hosts.flatMap(host => host.routes);
  return new Set(
    routes.filter(route => route.clients.includes('anonymous') && isMeant(route)).map(({ to }) => to),
  );
}

type Reach = {
  readonly hops: number;
  readonly from: string;
  /** The first services on the way, as many as are shown: shared, so that long ways cost nothing. */
  readonly first: readonly string[];
};

/** How each service is reached first, breadth first. */
function reachFrom({ services }: Model, entrances: ReadonlySet<string>): Map<string, Reach> {
  const reached = new Map<string, Reach>();
  for (const name of entrances) reached.set(name, { hops: 1, from: OUTSIDE, first: [name] });
  const queue = [...entrances];
  for (const name of queue) {
    const { hops, first } = reached.get(name) ?? { hops: 0, first: [] };
    for (const { service: callee } of services.get(name)?.calls ?? []) {
      if (reached.has(callee)) continue;
      reached.set(callee, {
        hops: hops + 1,
        from: name,
        first: first.length < SHOWN_AT_EACH_END ? [...first, callee] : first,
      });
      queue.push(callee);
    }
  }
  return reached;
}

const SHOWN_AT_EACH_END = 5;

function showReach(reached: ReadonlyMap<string, Reach>, to: string): string {
  const { hops, first } = reached.get(to) ?? { hops: 0, first: [] };
  const last: string[] = [];
  for (
    let at: string = to;
    at !== OUTSIDE && last.length < Math.min(SHOWN_AT_EACH_END, hops - first.length);
    at = reached.get(at)?.from ?? OUTSIDE
  ) {
    last.push(at);
  }
  const gap = hops > first.length + last.length ? ['…'] : [];
  return [OUTSIDE, ...first, ...gap, ...last.reverse()].join(' -> ');
}

function showPath(path: readonly string[]): string {
  const shown =
    path.length <= 2 * SHOWN_AT_EACH_END
      ? path
      : [...path.slice(0, SHOWN_AT_EACH_END), '…', ...path.slice(-SHOWN_AT_EACH_END)];
  return shown.join(' -> ');
}

function* findWeakServices({ services }: Model): Generator<Problem> {
  for (const { name, data, record, egress, calls, at } of services.values()) {
    if (record === 'relaxed' && (data === 'confidential' || data === 'restricted')) {
      const hint = 'leave `record` out for durable records';
      yield warn(
        'relaxed-record',
        `\`${name}\` is ${data}, but a crash may lose its last records`,
        at,
        name.length,
        hint,
      );
    }
    const [first] = egress;
    if (data === 'restricted' && first !== undefined) {
      const hint = 'let a less sensitive service speak with the outside';
      yield warn(
        'restricted-egress',
        `\`${name}\` is restricted, and may send to the outside`,
        first.at,
        first.origin.length,
        hint,
      );
    }
    for (const callee of calls) {
      if (services.get(callee.service)?.data !== 'restricted') continue;
      for (const call of callee.calls) {
        if (call.kind !== 'http' || !call.path.rest || call.path.segments.length > 0) continue;
        const { length } = `${call.method} ${call.path.text}`;
        const hint = 'name the paths that it needs';
        yield warn(
          'broad-call',
          `\`${name}\` may call every path of \`${callee.service}\`, which is restricted`,
          call.at,
          length,
          hint,
        );
      }
    }
  }
}

function findUnusedIssuers({ issuers, edge }: Model): Problem[] {
  const [first] = issuers;
  const isUsed = edge.hosts.some(({ routes }) => routes.some(({ clients }) => clients.includes('user')));
  if (first === undefined || isUsed) return [];
  return [
    warn(
      'unused-issuers',
      'no route admits users, so this issuer is never asked',
      first.at,
      1,
      'write `clients: [user]` on the routes for users',
    ),
  ];
}
