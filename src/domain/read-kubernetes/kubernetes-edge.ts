import { type Note, type Part, type Way, plain } from '#domain/manifest';
import type { KubernetesNames } from './kubernetes-names.ts';
import type { KubernetesObject } from './kubernetes-objects.ts';

type Context = { readonly names: KubernetesNames; readonly notes: Note[] };
type Translated = { readonly path: string; readonly remark: string | undefined };

/** Everything in the manifests that lets the outside in. */
export function kubernetesWays(
  all: readonly KubernetesObject[],
  names: KubernetesNames,
  notes: Note[],
): readonly Way[] {
  const context: Context = { names, notes };
  const gateways = all.filter(
    object => object.kind === 'Gateway' && object.group === 'gateway.networking.k8s.io',
  );
  return all.flatMap(object => {
    if (object.kind === 'Ingress') return ingressWays(object, context);
    if (object.group === 'gateway.networking.k8s.io' && ['HTTPRoute', 'GRPCRoute'].includes(object.kind)) {
      return routeWays(object, gateways, context);
    }
    if (object.kind === 'Service' && object.group === '') return exposedWays(object, context);
    return [];
  });
}

function ingressWays(ingress: KubernetesObject, context: Context): readonly Way[] {
  const from = `Ingress ${plain(ingress.name)}`;
  const annotations = [...ingress.part.at('metadata', 'annotations').entries()];
  const rewrite = annotations.find(([key]) => /rewrite-target|\/rewrite$|app-root/.test(key));
  if (rewrite !== undefined) {
    const message = `${from} rewrites paths (${plain(rewrite[0])}); the model forwards the path that was asked for`;
    context.notes.push({ kind: 'edge', message, at: rewrite[1].place() });
  }
  const spec = ingress.part.at('spec');
  const ways: Way[] = [];
  const add = (host: string | undefined, backend: Part, translated: Translated, at: Way['at']) => {
    const name = backend.at('service', 'name').text() ?? backend.at('serviceName').text();
    if (name === undefined) {
      context.notes.push({ kind: 'edge', message: `${from} names a backend that is no Service`, at });
      return;
    }
    const number = backend.at('service', 'port', 'number').port() ?? backend.at('servicePort').port();
    const way = { host, hostStem: ingress.name, methods: undefined, from, at, ...translated };
    ways.push(...waysTo(name, ingress.namespace, number, way, context));
  };
  for (const fallback of [spec.at('defaultBackend'), spec.at('backend')]) {
    if (fallback.present)
      add(undefined, fallback, { path: '/**', remark: 'default backend' }, fallback.place());
  }
  for (const rule of spec.at('rules').items()) {
    const host = rule.at('host').text();
    for (const path of rule.at('http', 'paths').items()) {
      const place = path.at('path').place();
      const translated = translatePath(
        path.at('path').text() ?? '/',
        path.at('pathType').text() ?? 'ImplementationSpecific',
      );
      if (translated === undefined) untold(context, `${from} has a path that the model cannot say`, place);
      else add(host, path.at('backend'), translated, place);
    }
  }
  return ways;
}

function routeWays(
  route: KubernetesObject,
  gateways: readonly KubernetesObject[],
  context: Context,
): readonly Way[] {
  const from = `${route.kind} ${plain(route.name)}`;
  const hosts = hostnamesOf(route, gateways);
  const ways: Way[] = [];
  for (const rule of route.part.at('spec', 'rules').items()) {
    const matches = rule.at('matches').items();
    const filters = rule
      .at('filters')
      .items()
      .map(filter => filter.at('type').text() ?? '');
    if (filters.some(filter => filter === 'URLRewrite' || filter === 'RequestRedirect')) {
      untold(
        context,
        `${from} has a filter ${filters.join(', ')}; the model forwards the path that was asked for`,
        rule.at('filters').place(),
      );
    }
    const backends = rule.at('backendRefs').items();
    if (backends.length > 1) {
      const message = `${from} splits its traffic over ${backends.length} backends; a route of the model has one: the first`;
      context.notes.push({ kind: 'edge', message, at: rule.at('backendRefs').place() });
    }
    const backend = backends[0];
    const name = backend?.at('name').text();
    if (backend === undefined || name === undefined) continue;
    const namespace = backend.at('namespace').text() ?? route.namespace;
    for (const match of matches.length > 0 ? matches : [rule]) {
      const told = route.kind === 'GRPCRoute' ? translateGrpc(match) : translateMatch(match);
      if (told === undefined) {
        untold(context, `${from} has a path that the model cannot say`, match.at('path').place());
        continue;
      }
      for (const host of hosts) {
        const way = { host, hostStem: route.name, from, at: match.place(), ...told };
        ways.push(...waysTo(name, namespace, backend.at('port').port(), way, context));
      }
    }
  }
  return ways;
}

function exposedWays(service: KubernetesObject, context: Context): readonly Way[] {
  const type = service.part.at('spec', 'type');
  const kind = type.text();
  if (kind !== 'LoadBalancer' && kind !== 'NodePort') return [];
  const from = `Service ${plain(service.name)} (${kind})`;
  return service.part
    .at('spec', 'ports')
    .items()
    .flatMap(part => {
      const way = {
        host: undefined,
        hostStem: undefined,
        path: '/**',
        methods: undefined,
        from,
        at: type.place(),
        remark: undefined,
      };
      return waysTo(service.name, service.namespace, part.at('port').port(), way, context);
    });
}

function waysTo(
  name: string,
  namespace: string,
  toPort: number | undefined,
  way: Omit<Way, 'to' | 'toPort'>,
  context: Context,
): readonly Way[] {
  const target = context.names.service(name, namespace)?.target;
  if (target?.kind === 'units') return target.units.slice(0, 1).map(to => ({ ...way, to, toPort }));
  const why =
    target === undefined ? 'which is not among the manifests' : 'which has no workload among the manifests';
  untold(context, `${way.from} leads to Service ${plain(name)}, ${why}`, way.at);
  return [];
}

function hostnamesOf(
  route: KubernetesObject,
  gateways: readonly KubernetesObject[],
): readonly (string | undefined)[] {
  const own = route.part
    .at('spec', 'hostnames')
    .items()
    .flatMap(part => part.text() ?? []);
  if (own.length > 0) return own;
  const parents = route.part.at('spec', 'parentRefs').items();
  const listeners = parents.flatMap(parent => {
    const namespace = parent.at('namespace').text() ?? route.namespace;
    const gateway = gateways.find(
      candidate => candidate.name === parent.at('name').text() && candidate.namespace === namespace,
    );
    const section = parent.at('sectionName').text();
    return (gateway?.part.at('spec', 'listeners').items() ?? [])
      .filter(listener => section === undefined || listener.at('name').text() === section)
      .flatMap(listener => listener.at('hostname').text() ?? []);
  });
  return listeners.length > 0 ? [...new Set(listeners)] : [undefined];
}

function translateMatch(match: Part): (Translated & { methods: string[] | undefined }) | undefined {
  const kind = match.at('path', 'type').text() ?? 'PathPrefix';
  const types: Readonly<Record<string, string>> = {
    PathPrefix: 'Prefix',
    Exact: 'Exact',
    RegularExpression: 'ImplementationSpecific',
  };
  const translated = translatePath(
    match.at('path', 'value').text() ?? '/',
    types[kind] ?? 'ImplementationSpecific',
  );
  if (translated === undefined) return undefined;
  const method = match.at('method').text();
  const conditions = ['headers', 'queryParams'].filter(key => match.at(key).present);
  const remark =
    conditions.length > 0
      ? `its condition on ${conditions.join(' and ')} is not carried over`
      : translated.remark;
  return { path: translated.path, methods: method === undefined ? undefined : [method], remark };
}

function translateGrpc(match: Part): (Translated & { methods: string[] | undefined }) | undefined {
  const service = match.at('method', 'service').text() ?? '*';
  const method = match.at('method', 'method').text() ?? '*';
  if (!/^[\w.*]+$/.test(service) || !/^[\w*]+$/.test(method)) return undefined;
  return { path: `/${service}/${method}`, methods: ['POST'], remark: undefined };
}

/** @returns the path as a pattern of the model; `undefined` when nothing of it can be kept */
function translatePath(path: string, type: string): Translated | undefined {
  const isPlain = /^\/[A-Za-z0-9._~!$&'()+,=:@/-]*$/.test(path) && !/\/\/|\/\.{1,2}(?:\/|$)/.test(path);
  if (type === 'Exact') return isPlain && !/[()$]/.test(path) ? { path, remark: undefined } : undefined;
  const isRegex = /[()[\]{}|^$\\+?*]/.test(path);
  if (isPlain && !isRegex) return { path: `${path.replace(/\/+$/, '')}/**`, remark: undefined };
  // `/api(/|$)(.*)` and `/static/*`: the part before the first special character, cut to whole segments, is sure.
  const sure = /^(?:\/[A-Za-z0-9._~-]+)*/.exec(path)?.[0] ?? '';
  const next = path.slice(sure.length);
  const whole =
    next === '' || next.startsWith('/') || next.startsWith('(/')
      ? sure
      : sure.slice(0, sure.lastIndexOf('/'));
  return path.startsWith('/')
    ? { path: `${whole}/**`, remark: `the manifest says ${plain(path)}` }
    : undefined;
}

function untold(context: Context, message: string, at: Note['at']): void {
  context.notes.push({ kind: 'edge', message, at });
}
