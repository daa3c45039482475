import type { Chain, Hook, Match, Rule, Ruleset } from './ruleset.ts';
import type { Wall } from './wall.ts';

const DROP: Rule = { match: {}, verdict: 'drop' };

/**
 * The rules of the host: what may pass between it and the services' links. Interfaces of others are not touched.
 *
 * @param table the table's name, one per running system
 * @param linkPrefix begins the host-side name of every link of this system, those without a wall included
 * @param agentUid the user that the agent runs as; processes of other users do not reach services
 */
export function compileHostRuleset(
  table: string,
  linkPrefix: string,
  walls: readonly Wall[],
  agentUid: number,
): Ruleset {
  const links = `${linkPrefix}*`;
  return {
    table,
    chains: [
      ...walls.flatMap(wall => hostChains(wall, agentUid)),
      dispatcher('input', 'in', walls, links, walls.map(onlyByLink)),
      dispatcher('output', 'out', walls, links, []),
      {
        name: 'forward',
        base: { hook: 'forward', policy: 'accept' },
        dispatch: undefined,
        rules: [
          { match: { inInterface: links }, verdict: 'drop' },
          { match: { outInterface: links }, verdict: 'drop' },
        ],
      },
    ],
  };
}

/**
 * The rules inside a service's own namespace. Loopback there is the service's own business.
 *
 * @param wall `undefined` closes the namespace
 */
export function compileServiceRuleset(table: string, wall: Wall | undefined): Ruleset {
  const service =
    wall === undefined ? [DROP] : onInterface('in', wall.link.serviceInterface, towardsService(wall));
  const agent =
    wall === undefined ? [DROP] : onInterface('out', wall.link.serviceInterface, towardsAgent(wall));
  return {
    table,
    chains: [
      {
        name: 'input',
        base: { hook: 'input', policy: 'drop' },
        dispatch: undefined,
        rules: [{ match: { inInterface: 'lo' }, verdict: 'accept' }, ...service],
      },
      {
        name: 'output',
        base: { hook: 'output', policy: 'drop' },
        dispatch: undefined,
        rules: [{ match: { outInterface: 'lo' }, verdict: 'accept' }, ...agent],
      },
      { name: 'forward', base: { hook: 'forward', policy: 'drop' }, dispatch: undefined, rules: [] },
    ],
  };
}

function hostChains(wall: Wall, agentUid: number): Chain[] {
  const { hostInterface } = wall.link;
  return [
    { name: chainName('in', hostInterface), base: undefined, dispatch: undefined, rules: towardsAgent(wall) },
    {
      name: chainName('out', hostInterface),
      base: undefined,
      dispatch: undefined,
      rules: towardsService(wall, { ownerUid: agentUid }),
    },
  ];
}

/** Sends packets of each link to its chain. INVARIANT: a link of ours without a chain, or not yet known, is closed. */
function dispatcher(
  hook: Hook,
  by: 'in' | 'out',
  walls: readonly Wall[],
  links: string,
  more: readonly Rule[],
): Chain {
  return {
    name: hook,
    base: { hook, policy: 'accept' },
    dispatch: {
      by,
      chains: new Map(walls.map(({ link }) => [link.hostInterface, chainName(by, link.hostInterface)])),
    },
    rules: [
      { match: by === 'in' ? { inInterface: links } : { outInterface: links }, verdict: 'drop' },
      ...more,
    ],
  };
}

/**
 * Linux takes packets for any of its addresses on any interface: a neighbour on the network, or a process of the host,
 * would reach the listeners on which an agent believes that its service calls.
 */
function onlyByLink({ link }: Wall): Rule {
  return { match: { destination: link.hostAddress }, verdict: 'drop' };
}

function towardsAgent({ link, reaches }: Wall): Rule[] {
  const match = { source: link.serviceAddress, destination: link.hostAddress };
  return [
    { match: { established: true, ...match }, verdict: 'accept' },
    ...reaches.map(({ port, purpose }): Rule => ({
      match: { ...match, tcpPort: port },
      verdict: 'accept',
      comment: purpose,
    })),
    DROP,
  ];
}

/** @param sender what else must hold of a first packet, where its sender is known */
function towardsService({ service, link, appPort }: Wall, sender: Match = {}): Rule[] {
  const match = { source: link.hostAddress, destination: link.serviceAddress };
  return [
    { match: { established: true, ...match }, verdict: 'accept' },
    { match: { ...match, tcpPort: appPort, ...sender }, verdict: 'accept', comment: `agent to ${service}` },
    DROP,
  ];
}

/** The drop at a chain's end stays without an interface: it counts whatever else there was. */
function onInterface(by: 'in' | 'out', name: string, rules: readonly Rule[]): Rule[] {
  const link = by === 'in' ? { inInterface: name } : { outInterface: name };
  return rules.map(rule => (rule === DROP ? rule : { ...rule, match: { ...link, ...rule.match } }));
}

function chainName(by: 'in' | 'out', hostInterface: string): string {
  return `${by}_${hostInterface.replaceAll('-', '_')}`;
}
