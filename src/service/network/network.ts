import type { ServicePlacement } from '#domain/compile';
import { CodedError } from '#base/error';

export class NetworkError extends CodedError<
  'tool-failed' | 'no-free-range' | 'no-free-port' | 'too-many-services'
> {}

export type NetworkStatus =
  { readonly kind: 'enforced' } | { readonly kind: 'not-enforced'; readonly why: string };

/** The addresses of a service's link. Without a network ring both are loopback. */
export type Ends = {
  /** Where its agent listens for it. */
  readonly agentHost: string;
  /** Where it listens itself. */
  readonly serviceHost: string;
  /** The network namespace it runs in. */
  readonly namespace: string | undefined;
};

/** What a process of a service needs beyond the rights of a user that owns nothing. */
export type Needs = {
  /** Where it listens; ports below 1024 need a capability. */
  readonly port?: number;
  readonly passage?: Passage;
};

/** How a service's own user gets to its program. */
export type Passage =
  | { readonly kind: 'open' }
  /** In its view of the file system, and nowhere else, all may enter this directory, and none may write in it. */
  | { readonly kind: 'view'; readonly directory: string }
  /** With a capability that lets it read every file. */
  | { readonly kind: 'reads-all-files' };

/** Port: the networks of the services of one machine. Calls are not to overlap. */
export interface Network {
  readonly status: NetworkStatus;
  /** Creates what `services` lack; a new link is closed until `enforce` opens it. Ends of a service never change. */
  join(services: readonly string[]): Promise<ReadonlyMap<string, Ends>>;
  /** Lets through exactly what these placements say, for services that have joined; all others are closed. */
  enforce(placements: ReadonlyMap<string, ServicePlacement>): Promise<void>;
  /** Ends what still runs inside these services' namespaces, and removes them. */
  leave(services: readonly string[]): Promise<void>;
  /**
   * The command that runs `command` as `service`: with a user, processes and a network of its own, and without the
   * means to leave them. Of the state directory it sees its own data directory.
   */
  inside(service: string, command: readonly [string, ...string[]], needs?: Needs): [string, ...string[]];
  /** Removes everything. */
  close(): Promise<void>;
}
