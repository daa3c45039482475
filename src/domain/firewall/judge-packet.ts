import type { Chain, Hook, Match, Ruleset, Verdict } from './ruleset.ts';

export type Packet = {
  /** Where it comes in (input, forward) and goes out (output, forward). */
  readonly inInterface?: string;
  readonly outInterface?: string;
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  /** Destination port; of TCP and UDP. */
  readonly port?: number;
  readonly established: boolean;
  /** The user whose process sends it; `undefined` when it comes from elsewhere. */
  readonly ownerUid?: number;
};

/** What the kernel does with `packet` at `hook`, as far as this ruleset decides. */
export function judgePacket(ruleset: Ruleset, hook: Hook, packet: Packet): Verdict {
  const chains = new Map(ruleset.chains.map(chain => [chain.name, chain]));
  for (const chain of ruleset.chains) {
    if (chain.base?.hook !== hook) continue;
    return walk(chain, chains, packet) ?? chain.base.policy;
  }
  return 'accept';
}

function walk(chain: Chain, chains: ReadonlyMap<string, Chain>, packet: Packet): Verdict | undefined {
  if (chain.dispatch !== undefined) {
    const name = chain.dispatch.by === 'in' ? packet.inInterface : packet.outInterface;
    const target = chains.get(chain.dispatch.chains.get(name ?? '') ?? '');
    const verdict = target === undefined ? undefined : walk(target, chains, packet);
    if (verdict !== undefined) return verdict;
  }
  return chain.rules.find(({ match }) => matches(match, packet))?.verdict;
}

function matches(match: Match, packet: Packet): boolean {
  return (
    matchesInterface(match.inInterface, packet.inInterface) &&
    matchesInterface(match.outInterface, packet.outInterface) &&
    (match.established === undefined || packet.established) &&
    matchesAddress(match.source, packet.source, packet.family) &&
    matchesAddress(match.destination, packet.destination, packet.family) &&
    (match.tcpPort === undefined || (packet.protocol === 'tcp' && packet.port === match.tcpPort)) &&
    (match.ownerUid === undefined || packet.ownerUid === match.ownerUid)
  );
}

function matchesInterface(pattern: string | undefined, name: string | undefined): boolean {
  if (pattern === undefined) return true;
  if (name === undefined) return false;
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function matchesAddress(wanted: string | undefined, address: string, family: 4 | 6): boolean {
  return wanted === undefined || (family === 4 && address === wanted);
}
