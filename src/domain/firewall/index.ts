/**
 * The network ring: nftables rulesets (inet family) compiled from where a model's services are placed.
 *
 * Two walls stand between any two services: one inside each service's network namespace, one on the host side of
 * its link. A service reaches its agent's listeners for its own declared calls and egress, its agent (the host's user
 * that it runs as) reaches the service's port, and everything else is dropped: other services, the host, ICMP, IPv6. Rulesets are data, so that
 * `judgePacket` decides on them as the kernel does on the text of `renderRuleset`. Applies nothing.
 */
export { compileHostRuleset, compileServiceRuleset } from './compile-ruleset.ts';
export type { Link, Wall } from './wall.ts';
export { wallOf } from './wall.ts';
export { renderRuleset, renderRemoval } from './render-ruleset.ts';
export { judgePacket } from './judge-packet.ts';
export type { Packet } from './judge-packet.ts';
