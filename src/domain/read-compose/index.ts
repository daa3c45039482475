/**
 * Reads Compose files into a landscape: services, ports, environment, commands, links, networks.
 *
 * Not here: merging of several files, `include`, `env_file` (they are listed as not read); what calls what, which
 * `#domain/import` infers.
 *
 * Standards: the Compose Specification.
 */
export { readCompose } from './compose.ts';
