import {
  type Door,
  type Part,
  knownImage,
  plain,
  protocolOfPort,
  protocolOfPortName,
} from '#domain/manifest';
import type { Protocol } from '#domain/model';

/** A port of a Compose service that the host publishes. */
type Published = { readonly part: Part; readonly target: number; readonly loopbackOnly: boolean };

export type ComposePorts = {
  readonly doors: readonly Door[];
  readonly published: readonly Published[];
  /** What stands there and is no port that the model could carry. */
  readonly unread: readonly { readonly part: Part; readonly why: string }[];
};

type Port = {
  readonly target: number;
  readonly name: string | undefined;
  readonly appProtocol: string | undefined;
  readonly part: Part;
};

const MAX_RANGE = 64;

/** Reads `ports` (short and long syntax) and `expose` (compose-spec, "ports", "expose"). */
export function composePorts(service: Part, expand: (text: string) => string): ComposePorts {
  const image = service.at('image').text();
  const ports: Port[] = [];
  const published: Published[] = [];
  const unread: ComposePorts['unread'][number][] = [];
  for (const part of service.at('ports').items()) {
    const read = part.isMap ? longPort(part, expand) : shortPort(expand(part.text() ?? ''));
    if (typeof read === 'string') {
      unread.push({ part, why: read });
      continue;
    }
    for (const target of read.targets) {
      ports.push({ target, name: part.at('name').text(), appProtocol: part.at('app_protocol').text(), part });
      published.push({ part, target, loopbackOnly: read.loopbackOnly });
    }
  }
  for (const part of service.at('expose').items()) {
    const read = shortPort(expand(part.text() ?? ''));
    if (typeof read === 'string') unread.push({ part, why: read });
    else
      for (const target of read.targets)
        ports.push({ target, name: undefined, appProtocol: undefined, part });
  }
  const doors = new Map<number, Door>();
  for (const port of ports) if (!doors.has(port.target)) doors.set(port.target, doorOf(port, image));
  return { doors: [...doors.values()], published, unread };
}

type Read = { readonly targets: readonly number[]; readonly loopbackOnly: boolean };

/** `80`, `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80`, `8000-8010:80-90`, `6060:6060/tcp` */
function shortPort(text: string): Read | string {
  const match = /^(?:(.*):)?(\d{1,5})(?:-(\d{1,5}))?(?:\/([a-z]+))?$/.exec(text.trim());
  if (match?.[2] === undefined) return 'is no port';
  if (match[4] !== undefined && match[4] !== 'tcp')
    return `is ${plain(match[4])}: the model carries TCP only`;
  const targets = range(Number(match[2]), Number(match[3] ?? match[2]));
  const loopbackOnly = /^(?:127\.|localhost:|\[::1\]:)/.test(match[1] ?? '');
  return targets === undefined ? 'is no port' : { targets, loopbackOnly };
}

function longPort(part: Part, expand: (text: string) => string): Read | string {
  const target = Number(expand(part.at('target').text() ?? ''));
  const protocol = part.at('protocol').text() ?? 'tcp';
  if (protocol !== 'tcp') return `is ${plain(protocol)}: the model carries TCP only`;
  const targets = range(target, target);
  return targets === undefined
    ? 'has no target port'
    : { targets, loopbackOnly: /^(?:127\.|::1$)/.test(expand(part.at('host_ip').text() ?? '')) };
}

function range(first: number, last: number): number[] | undefined {
  const isRange =
    Number.isInteger(first) && first > 0 && last >= first && last <= 65_535 && last - first < MAX_RANGE;
  return isRange ? Array.from({ length: last - first + 1 }, (_, index) => first + index) : undefined;
}

function doorOf({ target, name, appProtocol, part }: Port, image: string | undefined): Door {
  const told = tellProtocol(target, [appProtocol, name], image);
  return {
    port: target,
    addressedAt: [target],
    name,
    ...told,
    image,
    from: `port ${target}`,
    at: part.place(),
  };
}

function tellProtocol(
  port: number,
  names: readonly (string | undefined)[],
  image: string | undefined,
): { protocol: Protocol | undefined; toldBy: string } {
  for (const name of names) {
    const protocol = name === undefined ? undefined : protocolOfPortName(name);
    if (protocol !== undefined) return { protocol, toldBy: `port name ${plain(name ?? '')}` };
  }
  const known = image === undefined ? undefined : knownImage(image);
  if (known?.port === port) return { protocol: known.protocol, toldBy: `image ${known.name}` };
  const wellKnown = protocolOfPort(port);
  if (wellKnown !== undefined) return { protocol: wellKnown, toldBy: `well-known port ${port}` };
  return { protocol: known?.protocol, toldBy: known === undefined ? '' : `image ${known.name}` };
}
