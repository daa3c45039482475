import type { NameTarget, Names, Unit } from '#domain/manifest';
import type { KubernetesObject } from './kubernetes-objects.ts';

export type NamedService = { readonly object: KubernetesObject; readonly target: NameTarget };

const MAX_ALIASES = 4;

/** Resolves host names as the cluster's DNS does (kubernetes.io, "DNS for Services and Pods"). */
export class KubernetesNames implements Names {
  readonly #byName = new Map<string, NamedService>();
  readonly #bare = new Map<string, NamedService[]>();
  readonly #namespaces = new Set<string>();

  constructor(services: readonly NamedService[]) {
    for (const service of services) {
      const { name, namespace } = service.object;
      this.#byName.set(`${namespace}/${name}`, service);
      this.#bare.set(name, [...(this.#bare.get(name) ?? []), service]);
      this.#namespaces.add(namespace);
    }
  }

  resolve(host: string, from: Unit): ReturnType<Names['resolve']> {
    return this.#resolve(host, from.namespace, from.namespaceStated, 0);
  }

  /** The Service that a manifest names outright, as an Ingress does. */
  service(name: string, namespace: string): NamedService | undefined {
    return this.#byName.get(`${namespace}/${name}`);
  }

  #resolve(
    host: string,
    namespace: string,
    namespaceStated: boolean,
    aliases: number,
  ): ReturnType<Names['resolve']> {
    const suffix = /\.svc(?:\.[a-z0-9.-]+)?$/.exec(host);
    const labels = (suffix === null ? host : host.slice(0, suffix.index)).split('.');
    const service = this.#find(labels, namespace, namespaceStated, suffix !== null);
    if (service === undefined) {
      const [, inNamespace] = labels;
      const inCluster =
        suffix !== null ||
        labels.length === 1 ||
        (labels.length === 2 && this.#namespaces.has(inNamespace ?? ''));
      return { kind: 'unknown', inCluster };
    }
    // An ExternalName may name a Service of the cluster: an alias, not an address outside.
    if (service.target.kind === 'outside' && aliases < MAX_ALIASES) {
      const aliased = this.#resolve(
        service.target.host,
        service.object.namespace,
        service.object.namespaceStated,
        aliases + 1,
      );
      if (aliased.kind !== 'unknown') return aliased;
    }
    return service.target;
  }

  #find(
    labels: readonly string[],
    namespace: string,
    stated: boolean,
    isFull: boolean,
  ): NamedService | undefined {
    const [first = '', second = '', third = ''] = labels;
    if (labels.length === 1)
      return this.#byName.get(`${namespace}/${first}`) ?? (stated ? undefined : this.#onlyOne(first));
    if (labels.length === 2) {
      return (
        this.#byName.get(`${second}/${first}`) ??
        // `cart.shop.svc` where the manifests leave the namespace to whoever applies them
        (isFull || !stated ? this.#unstated(first) : undefined) ??
        // `web-0.web`: a pod of a StatefulSet
        (isPodOf(first, second) ? this.#byName.get(`${namespace}/${second}`) : undefined)
      );
    }
    if (labels.length === 3) {
      return (
        this.#byName.get(`${third}/${second}`) ??
        (isFull || isPodOf(first, second) ? this.#unstated(second) : undefined)
      );
    }
    return undefined;
  }

  #onlyOne(name: string): NamedService | undefined {
    const all = this.#bare.get(name) ?? [];
    return all.length === 1 ? all[0] : undefined;
  }

  #unstated(name: string): NamedService | undefined {
    const only = this.#onlyOne(name);
    return only?.object.namespaceStated === false ? only : undefined;
  }
}

/** Pods of a StatefulSet are numbered; their Service is mostly named after the set, but need not be. */
function isPodOf(pod: string, service: string): boolean {
  return /-\d+$/.test(pod) && service !== '';
}
