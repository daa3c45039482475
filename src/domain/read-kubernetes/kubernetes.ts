import {
  type Door,
  type Landscape,
  type Note,
  type Part,
  type SourceText,
  type Unit,
  plain,
} from '#domain/manifest';
import { kubernetesWays } from './kubernetes-edge.ts';
import { podTemplate, readObjects, type KubernetesObject } from './kubernetes-objects.ts';
import { configEntries, podSettings, type ConfigEntry } from './kubernetes-pod.ts';
import { hasOtherThanTcp, podDoors, podPorts, serviceDoors, type PodPorts } from './kubernetes-ports.ts';
import { KubernetesNames, type NamedService } from './kubernetes-names.ts';

type Workload = {
  readonly object: KubernetesObject;
  readonly template: Part;
  readonly labels: ReadonlyMap<string, string>;
  readonly ports: PodPorts;
};

type ServiceObject = { readonly object: KubernetesObject; readonly selects: readonly Workload[] };

/** Reads Kubernetes manifests: workloads, Services, Ingress, Gateway API, ConfigMaps and Secrets. */
export function readKubernetes(sources: readonly SourceText[]): Landscape {
  const read = readObjects(sources);
  const notes: Note[] = [...read.notes];
  const workloads = workloadsOf(read.all, notes);
  const services = servicesOf(read.all, workloads, notes);
  const settingsOf = settingsReader(read.all, notes);

  const units: Unit[] = [];
  const unitOfWorkload = new Map<Workload, Unit>();
  const named: NamedService[] = [];
  const primaries = new Map(workloads.map(workload => [workload, primaryService(workload, services)]));
  for (const service of services) {
    const own = workloads.filter(workload => primaries.get(workload) === service);
    const isOfOthers = own.length === 0 && (service.selects.length > 0 || !selector(service.object).size);
    if (isOfOthers || typeOf(service.object) === 'ExternalName') continue;
    const unit = unitOf(service.object, own, services, settingsOf);
    units.push(unit);
    for (const workload of own) unitOfWorkload.set(workload, unit);
    named.push({ object: service.object, target: { kind: 'units', units: [unit] } });
    if (own.length === 0) {
      const message = `Service ${plain(service.object.name)} selects no workload among the manifests`;
      notes.push({ kind: 'unresolved', message, at: service.object.at });
    }
    if (hasOtherThanTcp(service.object.part)) {
      const message = `Service ${plain(service.object.name)} has UDP or SCTP ports; the model carries TCP only`;
      notes.push({ kind: 'port', message, at: service.object.at });
    }
  }
  for (const workload of workloads) {
    if (unitOfWorkload.has(workload)) continue;
    const unit = unitOf(workload.object, [workload], services, settingsOf);
    units.push(unit);
    unitOfWorkload.set(workload, unit);
    const message = `${plain(workload.object.kind)} ${plain(workload.object.name)} has no Service: nothing calls it by name`;
    notes.push({ kind: 'no-service', message, at: workload.object.at });
  }
  for (const service of services) {
    if (named.some(other => other.object === service.object)) continue;
    named.push({ object: service.object, target: otherTarget(service, unitOfWorkload) });
  }
  const names = new KubernetesNames(named);
  const ways = kubernetesWays(read.all, names, notes);
  return {
    kind: 'kubernetes',
    // In the order of the files, which is the order that the user knows.
    units: units.sort((a, b) => orderOf(a, sources) - orderOf(b, sources)),
    names,
    ways,
    notes,
    problems: read.problems,
    systemName: systemName(read.all),
    documents: read.documents,
  };
}

function workloadsOf(all: readonly KubernetesObject[], notes: Note[]): readonly Workload[] {
  const ids = new Set(all.map(object => `${object.kind}/${object.namespace}/${object.name}`));
  return all.flatMap((object): Workload[] => {
    const template = podTemplate(object);
    if (template === undefined) return [];
    const metadata = object.part.at('metadata');
    const owner = metadata.at('ownerReferences').items()[0];
    if (ids.has(`${owner?.at('kind').text()}/${object.namespace}/${owner?.at('name').text()}`)) return [];
    const hooks = metadata.at('annotations', 'helm.sh/hook').text() ?? '';
    if (/\btest(?:-success|-failure)?\b/.test(hooks)) {
      notes.push({
        kind: 'not-read',
        message: `${plain(object.kind)} ${plain(object.name)} is a Helm test: left out`,
        at: object.at,
      });
      return [];
    }
    if (template.at('spec', 'hostNetwork').text() === 'true') {
      const message = `${plain(object.kind)} ${plain(object.name)} uses the network of its host: no network wall can stand around it`;
      notes.push({ kind: 'port', message, at: object.at });
    }
    return [
      { object, template, labels: texts(template.at('metadata', 'labels')), ports: podPorts(template) },
    ];
  });
}

function servicesOf(
  all: readonly KubernetesObject[],
  workloads: readonly Workload[],
  notes: Note[],
): readonly ServiceObject[] {
  return all
    .filter(object => object.kind === 'Service' && object.group === '')
    .map(object => {
      const wanted = selector(object);
      const near = workloads.filter(workload => workload.object.namespace === object.namespace);
      let selects =
        wanted.size === 0
          ? []
          : near.filter(workload => [...wanted].every(([key, value]) => workload.labels.get(key) === value));
      if (selects.length === 0 && wanted.size > 0) {
        selects = near.filter(workload => workload.object.name === object.name);
        if (selects.length > 0) {
          const message = `the selector of Service ${plain(object.name)} matches no pod; taken by its name to be that of ${plain(selects[0]?.object.kind ?? '')} ${plain(object.name)}`;
          notes.push({ kind: 'unresolved', message, at: object.at });
        }
      }
      return { object, selects };
    });
}

/** Of all Services that select a workload, the one that its service of the model is named after. */
function primaryService(workload: Workload, services: readonly ServiceObject[]): ServiceObject | undefined {
  const rank = (service: ServiceObject): readonly (number | string)[] => [
    service.selects.length,
    service.object.name === workload.object.name ? 0 : 1,
    service.object.part.at('spec', 'clusterIP').text() === 'None' ? 1 : 0,
    typeOf(service.object) === 'ClusterIP' ? 0 : 1,
    service.object.name.length,
    service.object.name,
  ];
  return services
    .filter(service => service.selects.includes(workload) && typeOf(service.object) !== 'ExternalName')
    .toSorted((a, b) => compareRanks(rank(a), rank(b)))[0];
}

function compareRanks(a: readonly (number | string)[], b: readonly (number | string)[]): number {
  for (const [index, left] of a.entries()) {
    const right = b[index] ?? 0;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

function unitOf(
  object: KubernetesObject,
  workloads: readonly Workload[],
  services: readonly ServiceObject[],
  settingsOf: (workload: Workload) => Unit['settings'],
): Unit {
  const doors =
    workloads.length === 0
      ? serviceDoors(object.part, object.name, [])
      : services
          .filter(service => service.selects.some(workload => workloads.includes(workload)))
          // The Service that names the unit speaks first.
          .toSorted((a, b) => Number(b.object === object) - Number(a.object === object))
          .flatMap(service =>
            serviceDoors(
              service.object.part,
              service.object.name,
              workloads.map(workload => workload.ports),
            ),
          );
  return {
    name: object.name,
    namespace: object.namespace,
    namespaceStated: object.namespaceStated,
    from: `${plain(object.kind)} ${plain(object.name)}`,
    at: object.at,
    images: workloads.flatMap(workload => imagesOf(workload)),
    doors: mergeDoors(doors.length > 0 ? doors : podDoors(workloads.map(workload => workload.ports))),
    settings: workloads.flatMap(workload => settingsOf(workload)),
    startsAfter: [],
    ownNames: new Map(),
    networks: undefined,
  };
}

function imagesOf(workload: Workload): Unit['images'] {
  return workload.template
    .at('spec', 'containers')
    .items()
    .flatMap(container => {
      const image = container.at('image');
      const text = image.text();
      return text === undefined ? [] : [{ text, at: image.place(), workload: workload.object.name }];
    });
}

function mergeDoors(doors: readonly Door[]): readonly Door[] {
  const byPort = new Map<number, Door>();
  for (const door of doors) {
    const earlier = byPort.get(door.port);
    const addressedAt = [...new Set([...(earlier?.addressedAt ?? []), ...door.addressedAt])];
    byPort.set(door.port, { ...(earlier?.protocol === undefined ? door : earlier), addressedAt });
  }
  return [...byPort.values()];
}

function settingsReader(
  all: readonly KubernetesObject[],
  notes: Note[],
): (workload: Workload) => Unit['settings'] {
  const configs = new Map<string, ReadonlyMap<string, ConfigEntry>>();
  const variables = new Map<string, string>();
  for (const object of all) {
    if (object.group !== '') continue;
    if (object.kind === 'ConfigMap' || object.kind === 'Secret') {
      configs.set(`${object.kind}/${object.namespace}/${object.name}`, configEntries(object.part));
    }
    if (object.kind === 'Service') serviceVariables(object, variables);
  }
  return ({ object, template }) =>
    podSettings(template, {
      workload: object.name,
      namespace: object.namespace,
      config: (kind, name) => configs.get(`${kind}/${object.namespace}/${name}`),
      serviceVariable: name => variables.get(`${object.namespace}/${name}`),
      note: note => notes.push(note),
    });
}

/** `CART_SERVICE_HOST`, `CART_SERVICE_PORT` and `CART_PORT_80_TCP_ADDR`: Kubernetes sets them in every pod. */
function serviceVariables(object: KubernetesObject, variables: Map<string, string>): void {
  const prefix = `${object.namespace}/${object.name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
  variables.set(`${prefix}_SERVICE_HOST`, object.name);
  for (const [index, part] of object.part.at('spec', 'ports').items().entries()) {
    const port = part.at('port').port();
    if (port === undefined) continue;
    if (index === 0) variables.set(`${prefix}_SERVICE_PORT`, String(port));
    const name = part.at('name').text();
    if (name !== undefined)
      variables.set(`${prefix}_SERVICE_PORT_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`, String(port));
    variables.set(`${prefix}_PORT_${port}_TCP_ADDR`, object.name);
    variables.set(`${prefix}_PORT_${port}_TCP_PORT`, String(port));
  }
}

function otherTarget(
  service: ServiceObject,
  unitOfWorkload: ReadonlyMap<Workload, Unit>,
): NamedService['target'] {
  const { object } = service;
  const externalName = object.part.at('spec', 'externalName');
  const host = externalName.text();
  if (typeOf(object) === 'ExternalName' && host !== undefined) {
    return {
      kind: 'outside',
      host: host.toLowerCase().replace(/\.$/, ''),
      from: `Service ${plain(object.name)} (ExternalName)`,
      at: externalName.place(),
    };
  }
  const units = new Set(service.selects.flatMap(workload => unitOfWorkload.get(workload) ?? []));
  if (units.size > 0) return { kind: 'units', units: [...units] };
  return {
    kind: 'no-target',
    why: `Service ${plain(object.name)} has no selector: its endpoints are set elsewhere`,
  };
}

function selector(object: KubernetesObject): ReadonlyMap<string, string> {
  return texts(object.part.at('spec', 'selector'));
}

function typeOf(object: KubernetesObject): string {
  return object.part.at('spec', 'type').text() ?? 'ClusterIP';
}

function texts(part: Part): ReadonlyMap<string, string> {
  return new Map(
    [...part.entries()].flatMap(([key, value]) => {
      const text = value.text();
      return text === undefined ? [] : [[key, text] as const];
    }),
  );
}

function orderOf(unit: Unit, sources: readonly SourceText[]): number {
  const file = sources.findIndex(source => source.name === unit.at.file);
  return file * 10_000_000 + unit.at.line;
}

/** What the objects agree on: `app.kubernetes.io/part-of`, the Helm release, or their one namespace. */
function systemName(all: readonly KubernetesObject[]): string | undefined {
  const workloads = all.filter(object => podTemplate(object) !== undefined);
  for (const label of ['app.kubernetes.io/part-of', 'app.kubernetes.io/instance']) {
    const values = workloads.flatMap(object => object.part.at('metadata', 'labels', label).text() ?? []);
    const [first] = values;
    if (first !== undefined && values.length * 2 > workloads.length && values.every(value => value === first))
      return first;
  }
  const namespaces = new Set(
    workloads.map(object => (object.namespaceStated ? object.namespace : undefined)),
  );
  const [only] = namespaces;
  return namespaces.size === 1 && only !== 'default' ? only : undefined;
}
