import {
  type ImportProblem,
  type Note,
  type Part,
  type SourceText,
  plain,
  readDocuments,
} from '#domain/manifest';
import type { Position } from '#domain/model';

export type KubernetesObject = {
  readonly kind: string;
  /** Without version: `apps`; empty for the core group. */
  readonly group: string;
  readonly name: string;
  readonly namespace: string;
  readonly namespaceStated: boolean;
  readonly part: Part;
  readonly at: Position;
};

export type KubernetesObjects = {
  readonly all: readonly KubernetesObject[];
  readonly documents: number;
  readonly problems: readonly ImportProblem[];
  readonly notes: readonly Note[];
};

const MAX_LIST_DEPTH = 4;

/** Kinds that say nothing about who calls whom. */
const SILENT = new Set(
  `APIService Certificate CertificateRequest ClusterIssuer ClusterRole ClusterRoleBinding ConfigMap
  ControllerRevision CSIDriver CustomResourceDefinition Endpoints EndpointSlice Event Gateway GatewayClass HorizontalPodAutoscaler
  IngressClass Issuer LimitRange Lease MutatingWebhookConfiguration Namespace NetworkPolicy Node PersistentVolume
  PersistentVolumeClaim PodDisruptionBudget PodMonitor PodSecurityPolicy PriorityClass PrometheusRule ReferenceGrant ResourceQuota
  Role RoleBinding Secret Service ServiceAccount ServiceMonitor StorageClass ValidatingWebhookConfiguration VerticalPodAutoscaler
  VolumeSnapshotClass Ingress HTTPRoute GRPCRoute PeerAuthentication AuthorizationPolicy RequestAuthentication`.split(
    /\s+/,
  ),
);
/** Kinds that mean something else in groups that are not read: a Knative Service, an Istio Gateway. */
const OURS = new Set(['Service', 'Gateway', 'Ingress', 'HTTPRoute', 'GRPCRoute']);
const GROUPS_READ = new Set([
  '',
  'apps',
  'batch',
  'extensions',
  'networking.k8s.io',
  'gateway.networking.k8s.io',
  'apps.openshift.io',
  'argoproj.io',
]);

const WORKLOADS: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  ReplicationController: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
  DeploymentConfig: ['spec', 'template'],
  Rollout: ['spec', 'template'],
};

/** The pod template of a workload; the object itself when it is a Pod; `undefined` for other kinds. */
export function podTemplate(object: KubernetesObject): Part | undefined {
  if (!GROUPS_READ.has(object.group) || !Object.hasOwn(WORKLOADS, object.kind)) return undefined;
  return object.part.at(...(WORKLOADS[object.kind] ?? []));
}

/** Reads the objects of all sources, Lists unpacked, each object once. */
export function readObjects(sources: readonly SourceText[]): KubernetesObjects {
  const all: KubernetesObject[] = [];
  const problems: ImportProblem[] = [];
  const notes: Note[] = [];
  const unread = new Map<string, { names: string[]; at: Position }>();
  let documents = 0;
  for (const source of sources) {
    const read = readDocuments(source);
    problems.push(...read.problems);
    documents += read.documents.length;
    let strangers = 0;
    for (const document of read.documents) {
      for (const part of unpack(document, 0)) {
        const object = objectOf(part);
        if (object === undefined) strangers++;
        else if (isReadable(object)) all.push(object);
        else if (!SILENT.has(object.kind) || OURS.has(object.kind)) {
          const what = `${plain(object.kind)} (${plain(object.group === '' ? 'v1' : object.group)})`;
          const entry = unread.get(what) ?? { names: [], at: object.at };
          unread.set(what, { ...entry, names: [...entry.names, plain(object.name)] });
        }
      }
    }
    if (strangers > 0) {
      const message = `${plain(source.name)}: ${strangers} ${strangers === 1 ? 'document is' : 'documents are'} no Kubernetes object (no kind and name)`;
      notes.push({ kind: 'not-read', message, at: undefined });
    }
  }
  for (const [what, { names, at }] of unread) {
    notes.push({ kind: 'not-read', message: `not read: ${what} ${listed(names)}`, at });
  }
  return { ...onlyOnce(all, notes), documents, problems, notes };
}

function* unpack(part: Part, depth: number): Generator<Part> {
  const kind = part.at('kind').text();
  const items = part.at('items');
  if (kind?.endsWith('List') === true && items.isList && depth < MAX_LIST_DEPTH) {
    for (const item of items.items()) yield* unpack(item, depth + 1);
  } else if (part.isList && depth < MAX_LIST_DEPTH) {
    for (const item of part.items()) yield* unpack(item, depth + 1);
  } else yield part;
}

function objectOf(part: Part): KubernetesObject | undefined {
  const kind = part.at('kind').text();
  const metadata = part.at('metadata');
  const name = metadata.at('name').text() ?? metadata.at('generateName').text()?.replace(/-$/, '');
  if (kind === undefined || name === undefined || name === '') return undefined;
  const apiVersion = part.at('apiVersion').text() ?? '';
  const namespace = metadata.at('namespace').text();
  return {
    kind,
    group: apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '',
    name,
    namespace: namespace === undefined || namespace === '' ? 'default' : namespace,
    namespaceStated: namespace !== undefined && namespace !== '',
    part,
    at: metadata.at('name').place(),
  };
}

function isReadable(object: KubernetesObject): boolean {
  if (!GROUPS_READ.has(object.group)) return false;
  return Object.hasOwn(WORKLOADS, object.kind) || SILENT.has(object.kind);
}

/** A second object of the same kind, namespace and name is a patch or another rendering: the fuller one counts. */
function onlyOnce(all: readonly KubernetesObject[], notes: Note[]): { all: readonly KubernetesObject[] } {
  const byId = new Map<string, KubernetesObject>();
  for (const object of all) {
    const id = `${object.group}/${object.kind}/${object.namespace}/${object.name}`;
    const earlier = byId.get(id);
    if (earlier === undefined) {
      byId.set(id, object);
      continue;
    }
    const fuller = fullness(object) > fullness(earlier) ? object : earlier;
    byId.set(id, fuller);
    const message = `${plain(object.kind)} ${plain(object.name)} stands in the input twice; the one at ${fuller.at.file}:${fuller.at.line} counts`;
    notes.push({ kind: 'not-read', message, at: fuller === object ? earlier.at : object.at });
  }
  return { all: [...byId.values()] };
}

function fullness(object: KubernetesObject): number {
  const spec = podTemplate(object)?.at('spec') ?? object.part.at('spec');
  const containers = spec.at('containers').items();
  const images = containers.filter(container => container.at('image').present).length;
  return images * 1000 + spec.entries().size + object.part.at('data').entries().size;
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
