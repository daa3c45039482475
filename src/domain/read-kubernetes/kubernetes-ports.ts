import {
  type Door,
  type Part,
  knownImage,
  plain,
  protocolOfPort,
  protocolOfPortName,
} from '#domain/manifest';
import type { Protocol } from '#domain/model';

type ContainerPort = {
  readonly port: number;
  readonly name: string | undefined;
  readonly image: string | undefined;
  readonly part: Part;
};

/** The ports and images of a pod template's running containers. */
export type PodPorts = {
  readonly ports: readonly ContainerPort[];
  readonly images: readonly string[];
  readonly template: Part;
};

export function podPorts(template: Part): PodPorts {
  const ports: ContainerPort[] = [];
  const images: string[] = [];
  for (const container of template.at('spec', 'containers').items()) {
    const image = container.at('image').text();
    if (image !== undefined) images.push(image);
    for (const part of container.at('ports').items()) {
      const port = part.at('containerPort').port();
      if (port !== undefined && isTcp(part))
        ports.push({ port, name: part.at('name').text(), image, part: part.at('containerPort') });
    }
  }
  return { ports, images, template };
}

/** The ports of a Service as doors, with the pods behind it telling names and protocols. */
export function serviceDoors(service: Part, serviceName: string, pods: readonly PodPorts[]): readonly Door[] {
  return service
    .at('spec', 'ports')
    .items()
    .flatMap((part): Door[] => {
      const port = part.at('port').port();
      if (port === undefined || !isTcp(part)) return [];
      const name = part.at('name').text();
      const target = part.at('targetPort');
      const container = pods
        .map(pod => containerPortOf(pod, target, port))
        .find(found => found !== undefined);
      const listens = container?.port ?? target.port() ?? port;
      const image = container?.image ?? pods.find(pod => pod.images.length === 1)?.images[0];
      const told = tellProtocol({
        names: [part.at('appProtocol').text(), name, container?.name],
        ports: [listens, port],
        image,
        pods,
      });
      const label = name === undefined ? `port ${port}` : `port ${plain(name)}`;
      return [
        {
          port: listens,
          addressedAt: [port],
          name,
          ...told,
          image,
          from: `Service ${plain(serviceName)} ${label}`,
          at: part.at('port').place(),
        },
      ];
    });
}

/** The ports of pods without a Service: nothing calls them by name, but the workload listens there. */
export function podDoors(pods: readonly PodPorts[]): readonly Door[] {
  return pods.flatMap(pod =>
    pod.ports.map(({ port, name, image, part }): Door => {
      const told = tellProtocol({ names: [name], ports: [port], image, pods: [pod] });
      return {
        port,
        addressedAt: [port],
        name,
        ...told,
        image,
        from: `containerPort ${port}`,
        at: part.place(),
      };
    }),
  );
}

export function hasOtherThanTcp(service: Part): boolean {
  return service
    .at('spec', 'ports')
    .items()
    .some(part => !isTcp(part));
}

function containerPortOf(pod: PodPorts, target: Part, port: number): ContainerPort | undefined {
  const name = target.text();
  if (name === undefined) return pod.ports.find(candidate => candidate.port === port);
  return pod.ports.find(candidate => candidate.name === name || String(candidate.port) === name);
}

function tellProtocol(asked: {
  readonly names: readonly (string | undefined)[];
  readonly ports: readonly number[];
  readonly image: string | undefined;
  readonly pods: readonly PodPorts[];
}): { protocol: Protocol | undefined; toldBy: string } {
  const known = asked.image === undefined ? undefined : knownImage(asked.image);
  const imageSays = known !== undefined && asked.ports.includes(known.port) ? known : undefined;
  for (const name of asked.names) {
    const protocol = name === undefined ? undefined : protocolOfPortName(name);
    if (protocol !== undefined) return { protocol, toldBy: `port name ${plain(name ?? '')}` };
  }
  const [listens = 0] = asked.ports;
  for (const pod of asked.pods) {
    const probe = probeProtocol(pod, listens);
    if (probe !== undefined) return probe;
  }
  if (imageSays !== undefined) return { protocol: imageSays.protocol, toldBy: `image ${imageSays.name}` };
  for (const port of asked.ports) {
    const protocol = protocolOfPort(port);
    if (protocol !== undefined) return { protocol, toldBy: `well-known port ${port}` };
  }
  if (known !== undefined) return { protocol: known.protocol, toldBy: `image ${known.name}` };
  return { protocol: undefined, toldBy: '' };
}

function probeProtocol(pod: PodPorts, port: number): { protocol: Protocol; toldBy: string } | undefined {
  const name = pod.ports.find(candidate => candidate.port === port)?.name;
  const isThere = (asked: string | undefined) =>
    asked === String(port) || (asked !== undefined && asked === name);
  for (const container of pod.template.at('spec', 'containers').items()) {
    for (const kind of ['readinessProbe', 'livenessProbe', 'startupProbe']) {
      const probe = container.at(kind);
      if (isThere(probe.at('grpc', 'port').text())) return { protocol: 'grpc', toldBy: kind };
      if (isThere(probe.at('httpGet', 'port').text())) return { protocol: 'http', toldBy: kind };
    }
  }
  return undefined;
}

function isTcp(part: Part): boolean {
  return (part.at('protocol').text() ?? 'TCP').toUpperCase() === 'TCP';
}
