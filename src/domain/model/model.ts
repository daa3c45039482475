import type { Classification } from '#domain/rings';
import type { PathPattern } from '#domain/path';

/** A place in a model file; line and column count from 1, columns in UTF-16 units. */
export type Position = { readonly file: string; readonly line: number; readonly column: number };

/** How callers from outside of the system are called wherever a service's name could stand. */
export const OUTSIDE = 'outside';

/** A declared system, checked: every name resolves, every pattern parses. Made by `parseModel` only. */
export type Model = {
  readonly system: string;
  readonly trustDomain: string;
  readonly issuers: readonly Issuer[];
  readonly edge: Edge;
  /** In the order of the file. */
  readonly services: ReadonlyMap<string, Service>;
};

export type Issuer = {
  readonly name: string;
  /** `local`: the built-in issuer that `ringwall up` starts; else the issuer's URL (RFC 8414 §2). */
  readonly issuer: 'local' | (string & {});
  readonly audience: string;
  /** The one signature algorithm accepted of this issuer (RFC 8725 §3.1). */
  readonly algorithm: TokenAlgorithm;
  /** The loopback port of the local issuer; others have none. */
  readonly port: number | undefined;
  readonly at: Position;
};

export const TOKEN_ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const;
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];

export type Edge = {
  /** The TCP port of the gateway. */
  readonly port: number;
  readonly hosts: readonly EdgeHost[];
};

export type EdgeHost = {
  /** A DNS name in lower case, without port. */
  readonly host: string;
  readonly routes: readonly Route[];
  readonly at: Position;
};

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
export type Method = (typeof METHODS)[number];

/** `anonymous` admits everybody; the others only callers who showed that they are one. */
export const CLIENT_KINDS = ['anonymous', 'user', 'application'] as const;
export type ClientKind = (typeof CLIENT_KINDS)[number];

export type Route = {
  /** `edge/<host>/<index>`, from 0: names this route in records, explanations and proofs. */
  readonly rule: string;
  readonly path: PathPattern;
  readonly methods: readonly Method[];
  /** The service that answers. */
  readonly to: string;
  readonly clients: readonly ClientKind[];
  /** Scopes that a user's token must all have (RFC 6749 §3.3). */
  readonly scopes: readonly string[];
  readonly limits: readonly Limit[];
  readonly lockout: Lockout | undefined;
  readonly maxRequestBytes: number;
  readonly maxResponseBytes: number;
  readonly at: Position;
};

/** `20/s burst 40 per client` */
export type Limit = {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
  readonly per: 'client' | 'user' | 'route';
  /** As it stands in the model. */
  readonly text: string;
};

/** `5 failures in 10m per client and account`, with the field of the request body that names the account */
export type Lockout = {
  readonly failures: number;
  readonly windowMs: number;
  readonly per: readonly ('client' | 'account')[];
  /** The field of a form or JSON body that names the account; only with `account` in `per`. */
  readonly accountField: string | undefined;
  readonly text: string;
};

export const PROTOCOLS = ['http', 'grpc', 'tcp'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export type Service = {
  readonly name: string;
  readonly namespace: string;
  readonly data: Classification;
  readonly protocol: Protocol;
  /** The port on which the service itself listens, in plaintext, for its agent only. */
  readonly port: number;
  readonly image: string | undefined;
  readonly run: Run | undefined;
  /** When a record must be on disk: before the answer, or within 100 ms. */
  readonly record: 'durable' | 'relaxed';
  /** In the order of the file. */
  readonly calls: readonly Callee[];
  readonly egress: readonly Egress[];
  readonly at: Position;
};

/** How `ringwall up` starts a service. */
export type Run = {
  readonly command: readonly [string, ...string[]];
  /** Absolute; default: the folder of the model file. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of the command. */
  readonly at: Position;
};

/** All calls that a service may make to one other service. */
export type Callee = {
  readonly service: string;
  readonly calls: readonly Call[];
  readonly at: Position;
};

/** `GET /products/*`, or `connect` for a TCP service. `rule` is `calls/<caller>/<callee>/<index>`, from 0. */
export type Call =
  | {
      readonly kind: 'http';
      readonly rule: string;
      readonly method: Method;
      readonly path: PathPattern;
      readonly at: Position;
    }
  | { readonly kind: 'connect'; readonly rule: string; readonly at: Position };

/** An address outside of the system that a service may reach, through its agent. */
export type Egress = {
  /** `egress/<service>/<index>`, from 0 */
  readonly rule: string;
  /** `https://bank.example` or, on loopback only, `http://127.0.0.1:4445`: scheme, host and port, no path. */
  readonly origin: string;
  readonly at: Position;
};
