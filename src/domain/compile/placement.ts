import type { Address } from '#domain/bundle';

/** Where every part of a system listens. */
export type Placement = {
  readonly gateway: GatewayPlacement;
  readonly agents: readonly AgentPlacement[];
  /** By service name; one for every service of the model. */
  readonly services: ReadonlyMap<string, ServicePlacement>;
};

export type GatewayPlacement = { readonly name: string; readonly listen: Address; readonly admin: Address };

export type AgentPlacement = {
  readonly name: string;
  readonly admin: Address;
  /** The services beside which this agent stands. */
  readonly services: readonly string[];
};

export type ServicePlacement = {
  /** mTLS, for other points. */
  readonly inbound: Address;
  /** Plaintext, where the service itself listens. */
  readonly app: Address;
  /** Plaintext, where the service reaches each callee; by the callee's name. */
  readonly outbound: ReadonlyMap<string, Address>;
  /** Plaintext, where the service reaches each origin outside; by origin. */
  readonly egress: ReadonlyMap<string, Address>;
};
