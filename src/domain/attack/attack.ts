import type { Reason } from '#domain/decision';
import type { Ring } from '#domain/rings';
import type { Field } from './field.ts';

/** One kind of hostile act. */
export type Attack = {
  /** `<ring>/<name>`, stable: proofs and reports hold it. */
  readonly id: `${Ring}/${string}`;
  readonly ring: Ring;
  readonly vantage: Vantage;
  /** What it does, in one clause. */
  readonly title: string;
  /** CVE, CWE, OWASP ASVS 5.0 (`ASVS 4.2.1`), OWASP API Security Top 10 2023 (`API2:2023`), MITRE ATT&CK (`T1557`). */
  readonly references: readonly string[];
  /** Every place at which this model gives it a target. */
  readonly aim: (field: Field) => readonly Shot[];
};

/** From where an attack starts: attacks against an inner ring start inside of the outer ones. */
type Vantage =
  /** A client of the gateway without credentials. */
  | 'outside'
  /** Inside of the network, without an identity. */
  | 'network'
  /** Inside of the network, with a service's real identity. */
  | 'service'
  /** A client of the gateway with a valid user's token. */
  | 'user';

/** One attack at one place. */
export type Shot = {
  /** `<attack>@<place>`, unique within a proof; `--only` takes it. */
  readonly id: string;
  readonly attack: Attack;
  /** The row of the matrix that this shot is evidence for. */
  readonly service: string;
  /** The place in words: `catalog → payment: POST /charges`. */
  readonly target: string;
  readonly probe: Probe;
  /** The legitimate act on the same way, which must pass just before; only checks of files have none. */
  readonly control: Probe | undefined;
  readonly expect: Expectation;
};

export type Expectation =
  /** Ringwall itself answers with one of these reasons. */
  | {
      readonly kind: 'refused';
      readonly reasons: readonly Reason[];
      /** Or it closes without an answer. */
      readonly orClosed?: true;
      /** Silence is no refusal: it waits for what it should not take. */
      readonly atOnce?: true;
    }
  /** No session comes up, or it ends before an answer. */
  | { readonly kind: 'no-session' }
  /** No connection comes up at all. */
  | { readonly kind: 'no-connection' }
  /** The connection that was open is closed within a second. */
  | { readonly kind: 'cut' }
  /** The request passes, and its record says this: what was forged was not believed. */
  | { readonly kind: 'recorded'; readonly user?: string; readonly requestIdIsNot?: string }
  /** It is refused, for whatever reason, and the ledger has every refusal that its service saw in this proof. */
  | { readonly kind: 'refusal-recorded' }
  /** The check of the ledger itself says so. */
  | { readonly kind: 'detected' };

/** What is done, as data. */
export type Probe =
  | {
      readonly kind: 'edge';
      /** SNI and default `Host`. */
      readonly host: string;
      readonly message: Message;
      readonly token: TokenRecipe;
      readonly tls?: TlsRecipe;
    }
  | {
      readonly kind: 'inbound';
      readonly service: string;
      readonly certificate: CertificateRecipe;
      readonly message: Message;
      readonly tls?: TlsRecipe;
    }
  /** From inside of `caller` through its agent's plaintext listener for `callee`. */
  | { readonly kind: 'outbound'; readonly caller: string; readonly callee: string; readonly message: Message }
  /** Plaintext bytes to a port, from this machine or from inside of a service's namespace. */
  | {
      readonly kind: 'plaintext';
      readonly from: 'host' | { readonly service: string };
      readonly to: Place;
      readonly message: Message;
    }
  /** The same request again and again, until it is refused or `count` is spent. */
  | {
      readonly kind: 'burst';
      readonly host: string;
      readonly message: Message;
      readonly token: TokenRecipe;
      readonly count: number;
      readonly variation: Variation;
    }
  /** Sends the head one byte at a time. */
  | { readonly kind: 'slow-head'; readonly host: string; readonly path: string; readonly forMs: number }
  /** A connection of `caller` to `callee`, then its certificate's serial is revoked. */
  | {
      readonly kind: 'revocation';
      readonly caller: string;
      readonly callee: string;
      readonly moment: 'new-handshake' | 'live-connection' | 'resumption';
      readonly message: Message;
    }
  | { readonly kind: 'ledger'; readonly check: LedgerCheck };

export type Message =
  | {
      readonly kind: 'request';
      readonly method: string;
      readonly path: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
      readonly body?: string;
    }
  /** Bytes as they are, one latin1 character each. */
  | { readonly kind: 'raw'; readonly text: string }
  /** A connection and nothing else: for TCP services and handshakes. */
  | { readonly kind: 'nothing' };

export type TlsRecipe = {
  readonly maxVersion?: 'TLSv1' | 'TLSv1.1';
  readonly ciphers?: string;
  /** `''`: no server name at all. */
  readonly serverName?: string;
};

/** What stands in `Authorization`. */
export type TokenRecipe =
  | { readonly kind: 'none' }
  /** A token of the real issuer, for a user who has just these scopes. */
  | { readonly kind: 'valid'; readonly scopes: readonly string[] }
  | { readonly kind: 'forged'; readonly forgery: TokenForgery; readonly scopes: readonly string[] };

export const TOKEN_FORGERIES = [
  'expired',
  'other-key',
  'alg-none',
  'alg-none-mixed-case',
  'hs256-with-public-key',
  'other-algorithm',
  'signature-stripped',
  'signature-flipped',
  'signature-padded',
  'signature-unused-bits',
  'inner-whitespace',
  'payload-changed',
  'duplicate-claim',
  'embedded-jwk',
  'jku',
  'kid-path',
  'kid-injection',
  'critical-extension',
  'wrong-audience',
  'wrong-issuer',
  'id-token',
  'opaque',
  'empty',
  'oversized',
  'twice',
  'basic-credentials',
] as const;
export type TokenForgery = (typeof TOKEN_FORGERIES)[number];

/** With which certificate a peer appears. */
export type CertificateRecipe =
  | { readonly kind: 'none' }
  /** The service's real identity, issued by the real authority. */
  | { readonly kind: 'service'; readonly service: string }
  | { readonly kind: 'forged'; readonly forgery: CertificateForgery; readonly as: string };

export const CERTIFICATE_FORGERIES = [
  'self-signed',
  'foreign-authority',
  'expired',
  'not-yet-valid',
  'leaf-as-authority',
  'edge-certificate',
] as const;
export type CertificateForgery = (typeof CERTIFICATE_FORGERIES)[number];

/** How a burst tries not to look like one client. */
export type Variation =
  'none' | 'forwarded-for' | 'drop-anonymous-id' | 'forge-anonymous-id' | 'other-path' | 'other-case';

export type LedgerCheck =
  | 'intact'
  | 'byte-flipped'
  | 'record-deleted'
  | 'records-swapped'
  | 'log-truncated'
  | 'history-rewritten'
  | 'foreign-signature';

/** A listening port of the system under proof. */
export type Place =
  | { readonly kind: 'gateway' }
  | { readonly kind: 'inbound' | 'app'; readonly service: string }
  | { readonly kind: 'outbound'; readonly caller: string; readonly callee: string }
  /** The admin port of a point, where metrics are. */
  | { readonly kind: 'admin'; readonly point: string }
  /** The port on which control listens for points. */
  | { readonly kind: 'control' };
