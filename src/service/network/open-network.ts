import { readFile } from 'node:fs/promises';
import { compileServiceRuleset, renderRuleset } from '#domain/firewall';
import { commandInside } from './command-inside.ts';
import { removeLeftovers } from './leftovers.ts';
import { openLinuxNetwork } from './linux-network.ts';
import { namesOf, networkId } from './names.ts';
import { NetworkError, type Network } from './network.ts';
import { openPlainNetwork } from './plain-network.ts';
import { runTool, type RunTool } from './run-tool.ts';
import { firstUid } from './service-users.ts';

export type NetworkOptions = {
  /** Absolute, with links resolved. Its name is the system's name in the kernel; it holds the record of what exists. */
  readonly stateDirectory: string;
  /** Why the network ring is not wanted; `undefined` when it is. */
  readonly refusedBecause?: string | undefined;
  readonly run?: RunTool;
};

/** Opens the network ring; where the machine or its user cannot have it, one that enforces nothing and says why. */
export async function openNetwork({
  stateDirectory,
  refusedBecause,
  run = runTool,
}: NetworkOptions): Promise<Network> {
  const missing = await whatIsMissing(run);
  if (missing !== undefined) return openPlainNetwork(refusedBecause ?? missing);
  // A crashed run's walls would stand in the way of one without walls, too.
  await removeLeftovers(stateDirectory, run);
  const why = refusedBecause ?? (await whatIsForbidden(stateDirectory, run));
  if (why !== undefined) return openPlainNetwork(why);
  try {
    return await openLinuxNetwork({ stateDirectory, run });
  } catch (error) {
    if (error instanceof NetworkError && error.code === 'no-free-range')
      return openPlainNetwork(error.message);
    throw error;
  }
}

const TOOLS = [
  { command: 'ip', args: ['-V'], from: 'iproute2' },
  { command: 'nft', args: ['--version'], from: 'nftables' },
  { command: 'nsenter', args: ['--version'], from: 'util-linux' },
  { command: 'unshare', args: ['--version'], from: 'util-linux' },
  { command: 'setpriv', args: ['--version'], from: 'util-linux' },
] as const;

const CAPABILITIES = [
  { bit: 12n, name: 'CAP_NET_ADMIN' },
  { bit: 21n, name: 'CAP_SYS_ADMIN' },
] as const;

async function whatIsMissing(run: RunTool): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  const held = await effectiveCapabilities();
  const lacking = CAPABILITIES.filter(({ bit }) => ((held >> bit) & 1n) === 0n);
  if (lacking.length > 0) return `needs root (${lacking.map(({ name }) => name).join(' and ')})`;

  const present = await Promise.all(TOOLS.map(({ command, args }) => succeeds(run, command, args)));
  const absent = TOOLS.find((_, index) => present[index] === false);
  return absent && `\`${absent.command}\` is not installed (package ${absent.from})`;
}

/** Containers may hold the capabilities and still not be let: tries what will be needed. */
async function whatIsForbidden(stateDirectory: string, run: RunTool): Promise<string | undefined> {
  const names = namesOf(networkId(stateDirectory));
  const probe = `${names.namespacePrefix}probe`;
  if (!(await succeeds(run, 'ip', ['netns', 'add', probe]))) return 'this machine forbids network namespaces';
  try {
    const rules = renderRuleset(compileServiceRuleset(names.table, PROBE_WALL));
    const taken = await succeeds(
      run,
      'nsenter',
      [`--net=/run/netns/${probe}`, '--', 'nft', '-f', '-'],
      rules,
    );
    if (!taken) return 'the kernel does not take nftables rules';
    const [file, ...args] = commandInside(
      {
        namespace: probe,
        stateDirectory,
        dataDirectory: stateDirectory,
        opened: undefined,
        uid: firstUid(stateDirectory),
        keeps: ['net_bind_service', 'dac_read_search'],
      },
      ['true'],
    );
    const confined = await succeeds(run, file, args);
    return confined
      ? undefined
      : 'this machine cannot confine processes (`unshare`, `mount`, `setpriv` of util-linux)';
  } finally {
    await succeeds(run, 'ip', ['netns', 'delete', probe]);
  }
}

const PROBE_WALL = {
  service: 'probe',
  link: {
    hostInterface: 'host',
    hostAddress: '192.0.2.1',
    serviceInterface: 'eth0',
    serviceAddress: '192.0.2.2',
  },
  appPort: 1,
  reaches: [{ port: 1, purpose: 'probe' }],
};

async function effectiveCapabilities(): Promise<bigint> {
  const status = await readFile('/proc/self/status', 'latin1');
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
}

async function succeeds(
  run: RunTool,
  command: string,
  args: readonly string[],
  input?: string,
): Promise<boolean> {
  try {
    await run(command, args, input);
    return true;
  } catch {
    return false;
  }
}
