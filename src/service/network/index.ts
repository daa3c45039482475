/**
 * The network ring at work: gives each service of a machine a network namespace of its own, linked to the host by one
 * veth pair, and applies the rulesets of `#domain/firewall` to both ends.
 *
 * `openLinuxNetwork` does it with iproute2, nftables and util-linux, as root; `openNetwork` falls back to an adapter
 * that enforces nothing and says why. Everything that is created bears the id of its state directory, and what a
 * crashed run left is removed before a new one starts. A service inside has a user, processes and a data directory of its
 * own and no capability with which it could leave its namespaces; of the state directory it sees nothing else.
 * `openPortBook` hands out the ports of the machine.
 */
export { openNetwork } from './open-network.ts';
export type { Ends, Needs, Network, NetworkStatus, Passage } from './network.ts';
export { dataDirectoryOf, networkId } from './names.ts';
export { findBarriers } from './find-barriers.ts';
export { findPassage } from './find-passage.ts';
export { isPortFree, openPortBook } from './port-book.ts';
export type { PortBook } from './port-book.ts';
