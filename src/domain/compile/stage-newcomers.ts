import type { AgentService, Bundle } from '#domain/bundle';

/**
 * The bundles between two models: all as `before`, with the services that only `after` has. These can make their calls
 * already, and are let through at their callees; no route and no other service leads to them yet.
 */
export function stageNewcomers(before: readonly Bundle[], after: readonly Bundle[]): Bundle[] {
  const known = new Set(servicesOf(before).map(({ name }) => name));
  const newcomers = servicesOf(after).filter(({ name }) => !known.has(name));
  const identities = new Set(newcomers.map(({ identity }) => identity));
  const later = new Map(servicesOf(after).map(service => [service.name, service]));
  const letIn = (service: AgentService): AgentService => {
    const callers = later.get(service.name)?.callers.filter(({ identity }) => identities.has(identity)) ?? [];
    return { ...service, callers: [...service.callers, ...callers] };
  };
  const points = new Map(after.map(bundle => [bundle.point, bundle]));
  return before.map(bundle => {
    if (bundle.kind === 'gateway') return bundle;
    const joining = servicesOf([points.get(bundle.point)]).filter(({ name }) => !known.has(name));
    return { ...bundle, services: [...bundle.services.map(letIn), ...joining] };
  });
}

function servicesOf(bundles: readonly (Bundle | undefined)[]): AgentService[] {
  return bundles.flatMap(bundle => (bundle?.kind === 'agent' ? bundle.services : []));
}
