import type { Place, Terrain } from '#domain/attack';
import type { Address } from '#domain/bundle';
import type { NoteKey } from '#domain/merkle';
import type { Model } from '#domain/model';
import type { Proof } from '#domain/proof';
import type { TransactionRecord } from '#domain/record';
import type { LedgerReport } from '#service/ledger';

/** Port: the system under proof. Nothing outside of it is ever attacked. */
export interface Grounds {
  readonly model: Model;
  /** `sha256:<hex>` of the model's text. */
  readonly modelDigest: string;
  readonly network: Proof['network'];
  readonly terrain: Terrain;
  /** PEM certificates that a rightful client trusts. */
  readonly trustAnchors: readonly string[];
  /** A file that holds them, for commands that people run. */
  readonly caFile: string | undefined;
  /**
   * Where a place listens; `undefined` when there is none.
   *
   * @param from the service from whose network it is to be reached
   */
  address(place: Place, from?: string): Address | undefined;
  /** The command that runs `command` in the network of a service; `undefined` when it has none of its own. */
  inside(service: string, command: readonly string[]): readonly [string, ...string[]] | undefined;
  /** A real access token. @throws when the issuer gives none */
  issueToken(order: TokenOrder): Promise<string>;
  /** The public keys of the issuer (RFC 7517), as its key server publishes them. */
  issuerKeys(): Promise<readonly JsonWebKey[]>;
  /** A real certificate of a service, or of the edge. */
  issueCertificate(order: CertificateOrder): Promise<IssuedIdentity>;
  /** Resolves when every point refuses the serial. */
  revokeSerial(serial: string, untilMs: number): Promise<void>;
  /** How far the ledger is; records that come later are those of the proof. */
  ledgerPosition(): Promise<number>;
  /** By request id: the records that were written after `position`. */
  recordsSince(position: number): Promise<ReadonlyMap<string, readonly TransactionRecord[]>>;
  /** `undefined` when the ledger's files are not on this machine. */
  readonly ledger: LedgerFiles | undefined;
}

export type TokenOrder = {
  readonly user: string;
  readonly scopes: readonly string[];
  readonly lifetimeSeconds?: number;
  readonly audience?: string;
};

export type CertificateOrder = {
  /** A service of the model, or `edge` for the public certificate of the gateway. */
  readonly of: string;
  readonly notBeforeSeconds?: number;
  readonly lifetimeSeconds?: number;
};

export type IssuedIdentity = {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly serial: string;
  readonly notAfterMs: number;
};

export type LedgerFiles = {
  readonly directory: string;
  /** The newest signed checkpoint and the key that must have signed it, from control and not from the directory. */
  statement(): Promise<{ readonly checkpoint: string; readonly key: NoteKey }>;
  verify(options: {
    readonly directory: string;
    readonly key: NoteKey;
    readonly earlier: readonly string[];
  }): Promise<LedgerReport>;
};

export type JsonWebKey = { readonly kty?: string; readonly kid?: string; readonly alg?: string } & Readonly<
  Record<string, unknown>
>;
