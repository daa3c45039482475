import type { Model } from '#domain/model';

/** What a model says, in numbers. A call is one line of `calls`: a method and a path, or `connect`. */
export type ModelCounts = { readonly services: number; readonly calls: number; readonly routes: number };

export function countModel({ services, edge }: Model): ModelCounts {
  let calls = 0;
  for (const service of services.values()) for (const callee of service.calls) calls += callee.calls.length;
  const routes = edge.hosts.reduce((sum, host) => sum + host.routes.length, 0);
  return { services: services.size, calls, routes };
}

/** `3 services, 7 calls, 1 route` */
export function formatCounts({ services, calls, routes }: ModelCounts): string {
  return [plural(services, 'service'), plural(calls, 'call'), plural(routes, 'route')].join(', ');
}

export function plural(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
