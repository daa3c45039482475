import { rename, writeFile } from 'node:fs/promises';
import { hasCode } from '#base/error';
import type { ServicePlacement } from '#domain/compile';
import {
  compileHostRuleset,
  compileServiceRuleset,
  renderRuleset,
  wallOf,
  type Link,
  type Wall,
} from '#domain/firewall';
import {
  formatRange,
  freeRanges,
  linkAddresses,
  LINKS_PER_RANGE,
  type AddressRange,
} from './address-range.ts';
import { commandInside } from './command-inside.ts';
import { endProcesses, recordPath, removeLeftovers, type NetworkRecord } from './leftovers.ts';
import { dataDirectoryOf, namesOf, networkId, type Names } from './names.ts';
import { NetworkError, type Ends, type Needs, type Network } from './network.ts';
import type { RunTool } from './run-tool.ts';
import { assignUsers } from './service-users.ts';

type Options = { readonly stateDirectory: string; readonly run: RunTool };
type Member = {
  readonly index: number;
  readonly namespace: string;
  readonly link: Link;
  readonly uid: number;
};

const FIRST_OPEN_PORT = 1024;

/** Adapter: one network namespace per service on this machine. Expects that nothing of an earlier run is left. */
export async function openLinuxNetwork(options: Options): Promise<Network> {
  const range = await claimRange(options);
  const network = new LinuxNetwork(options, range);
  await network.enforce(new Map());
  return network;
}

class LinuxNetwork implements Network {
  readonly status = { kind: 'enforced' } as const;
  readonly #stateDirectory: string;
  readonly #run: RunTool;
  readonly #range: AddressRange;
  readonly #names: Names;
  readonly #members = new Map<string, Member>();
  /** By service: the rules its namespace has, so that a change touches only the namespaces that it changes. */
  readonly #applied = new Map<string, string>();
  #placements: ReadonlyMap<string, ServicePlacement> = new Map();

  constructor({ stateDirectory, run }: Options, range: AddressRange) {
    this.#stateDirectory = stateDirectory;
    this.#run = run;
    this.#range = range;
    this.#names = namesOf(networkId(stateDirectory));
  }

  async join(services: readonly string[]): Promise<ReadonlyMap<string, Ends>> {
    const names = services.filter(name => !this.#members.has(name));
    const users = await assignUsers(this.#stateDirectory, names, this.#run);
    const newcomers = [...users].map(([name, uid]) => [name, this.#admit(name, uid)] as const);
    if (newcomers.length > 0) {
      // CRASH: from here on the kernel may hold any part of this; the next run removes it by name.
      await writeRecord(this.#stateDirectory, this.#range, this.#members);
      const steps = newcomers.flatMap(([, { namespace, link }]) => [
        `netns add ${namespace}`,
        `link add ${link.hostInterface} type veth peer name ${link.serviceInterface} netns ${namespace}`,
        `addr add ${link.hostAddress}/30 dev ${link.hostInterface}`,
      ]);
      await this.#run('ip', ['-batch', '-'], `${steps.join('\n')}\n`);
      await Promise.all(newcomers.map(async ([name, member]) => this.#raise(name, member)));
    }
    return new Map(services.map(name => [name, endsOf(this.#memberOf(name))]));
  }

  async enforce(placements: ReadonlyMap<string, ServicePlacement>): Promise<void> {
    const walls = new Map<string, Wall>();
    for (const [name, { link }] of this.#members) {
      const placement = placements.get(name);
      if (placement !== undefined) walls.set(name, wallOf(name, placement, link));
    }
    this.#placements = placements;
    const { table, linkPrefix } = this.#names;
    // The agent is a process of this one's user.
    const agentUid = process.geteuid?.() ?? 0;
    const rules = compileHostRuleset(table, linkPrefix, [...walls.values()], agentUid);
    await this.#run('nft', ['-f', '-'], renderRuleset(rules));
    await Promise.all(
      [...this.#members.keys()].map(async name => this.#enforceInside(name, walls.get(name))),
    );
  }

  async leave(services: readonly string[]): Promise<void> {
    const leaving = services
      .filter(name => this.#members.has(name))
      .map(name => [name, this.#memberOf(name)] as const);
    if (leaving.length === 0) return;
    for (const [name] of leaving) {
      this.#members.delete(name);
      this.#applied.delete(name);
    }
    await this.enforce(this.#placements);
    await endProcesses(
      leaving.map(([, { namespace }]) => namespace),
      this.#run,
    );
    const steps = leaving.flatMap(([, { namespace, link }]) => [
      `link delete ${link.hostInterface}`,
      `netns delete ${namespace}`,
    ]);
    await this.#run('ip', ['-batch', '-'], `${steps.join('\n')}\n`);
    await writeRecord(this.#stateDirectory, this.#range, this.#members);
  }

  inside(service: string, command: readonly [string, ...string[]], needs: Needs = {}): [string, ...string[]] {
    const { namespace, uid } = this.#memberOf(service);
    const { port = FIRST_OPEN_PORT, passage = { kind: 'open' } } = needs;
    const keeps = [
      ...(port < FIRST_OPEN_PORT ? (['net_bind_service'] as const) : []),
      ...(passage.kind === 'reads-all-files' ? (['dac_read_search'] as const) : []),
    ];
    const stateDirectory = this.#stateDirectory;
    const dataDirectory = dataDirectoryOf(stateDirectory, service);
    const opened = passage.kind === 'view' ? passage.directory : undefined;
    return commandInside({ namespace, stateDirectory, dataDirectory, opened, uid, keeps }, command);
  }

  async close(): Promise<void> {
    this.#members.clear();
    await removeLeftovers(this.#stateDirectory, this.#run);
  }

  #admit(service: string, uid: number): Member {
    const used = new Set([...this.#members.values()].map(({ index }) => index));
    let index = 0;
    while (used.has(index)) index += 1;
    if (index >= LINKS_PER_RANGE)
      throw new NetworkError('too-many-services', `no address is left for \`${service}\``);
    const addresses = linkAddresses(this.#range, index);
    const member: Member = {
      index,
      uid,
      namespace: `${this.#names.namespacePrefix}${service}`,
      link: {
        hostInterface: `${this.#names.linkPrefix}${index}`,
        hostAddress: addresses.host,
        serviceInterface: 'eth0',
        serviceAddress: addresses.service,
      },
    };
    this.#members.set(service, member);
    return member;
  }

  /** INVARIANT: the rules are in place before the link carries a packet. */
  async #raise(name: string, { namespace, link }: Member): Promise<void> {
    await setKernelSwitches(link.hostInterface);
    await this.#enforceInside(name, undefined);
    const inside = [
      'link set lo up',
      `addr add ${link.serviceAddress}/30 dev ${link.serviceInterface}`,
      `link set ${link.serviceInterface} up`,
    ];
    await this.#run('ip', ['-n', namespace, '-batch', '-'], `${inside.join('\n')}\n`);
    await this.#run('ip', ['link', 'set', link.hostInterface, 'up']);
  }

  async #enforceInside(name: string, wall: Wall | undefined): Promise<void> {
    const rules = renderRuleset(compileServiceRuleset(this.#names.table, wall));
    if (this.#applied.get(name) === rules) return;
    const { namespace } = this.#memberOf(name);
    const first = !this.#applied.has(name);
    const script = first ? `${INSIDE_SWITCHES}\nexec nft -f -` : 'exec nft -f -';
    await this.#run('nsenter', [`--net=/run/netns/${namespace}`, '--', 'sh', '-c', script], rules);
    this.#applied.set(name, rules);
  }

  #memberOf(service: string): Member {
    const member = this.#members.get(service);
    if (member === undefined) throw new RangeError(`${service} has not joined the network`);
    return member;
  }
}

/** Takes a block of addresses that nobody on this machine uses; the route is the claim, and keeps strays inside. */
async function claimRange({ stateDirectory, run }: Options): Promise<AddressRange> {
  const id = networkId(stateDirectory);
  const routes = await run('ip', ['-4', '-o', 'route', 'show', 'table', 'all']);
  const destinations = routes.split('\n').map(line => /^(?:[a-z]+ )?(\d\S+)/.exec(line)?.[1] ?? '');
  const candidates = freeRanges(destinations, Number.parseInt(id, 16));
  for (const range of candidates) {
    await writeRecord(stateDirectory, range, new Map());
    try {
      await run('ip', ['route', 'add', 'unreachable', formatRange(range)]);
      return range;
    } catch (error) {
      // Another system that starts at this moment may have been faster: the kernel takes a route only once.
      if (!(error instanceof NetworkError && error.message.includes('File exists'))) throw error;
    }
  }
  throw new NetworkError('no-free-range', 'every private address range is in use on this machine');
}

async function writeRecord(
  stateDirectory: string,
  range: AddressRange,
  members: ReadonlyMap<string, Member>,
): Promise<void> {
  const record: NetworkRecord = {
    id: networkId(stateDirectory),
    range: formatRange(range),
    namespaces: Object.fromEntries([...members].map(([name, { namespace }]) => [name, namespace])),
  };
  const path = recordPath(stateDirectory);
  await writeFile(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

function endsOf({ namespace, link }: Member): Ends {
  return { agentHost: link.hostAddress, serviceHost: link.serviceAddress, namespace };
}

const INSIDE_SWITCHES = `
set_switch() { [ ! -e "$1" ] || echo "$2" > "$1"; }
set_switch /proc/sys/net/ipv4/ip_forward 0
set_switch /proc/sys/net/ipv6/conf/all/disable_ipv6 1
set_switch /proc/sys/net/ipv6/conf/default/disable_ipv6 1`;

/** On the host's end: no forwarding, no foreign source addresses, no IPv6. */
async function setKernelSwitches(link: string): Promise<void> {
  const switches = [
    [`/proc/sys/net/ipv4/conf/${link}/forwarding`, '0'],
    [`/proc/sys/net/ipv4/conf/${link}/rp_filter`, '1'],
    [`/proc/sys/net/ipv6/conf/${link}/disable_ipv6`, '1'],
  ] as const;
  for (const [path, value] of switches) {
    try {
      await writeFile(path, value, { flag: 'r+' });
    } catch (error) {
      // A kernel without IPv6, or a container whose /proc/sys is read-only: the rules hold without it.
      if (!hasCode(error, 'ENOENT') && !hasCode(error, 'EROFS')) throw error;
    }
  }
}
