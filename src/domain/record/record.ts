import type { Reason } from '#domain/decision';

/**
 * One transaction at one enforcement point. A request from outside makes one at the gateway and one at each agent hop.
 * A connection that was ended before there was a request makes one too: what only a request has is then empty. So does
 * an operation at control: its `method` is what was done, `callee` and `user` say about whom.
 */
export type TransactionRecord = {
  /** Milliseconds since the epoch at which the request's first byte was read, or the connection came. */
  readonly timeMs: number;
  /** `x-request-id`: a UUID, the same on every hop of a request; empty without a request. */
  readonly requestId: string;
  /** W3C trace id, 32 lower-case hex digits. */
  readonly traceId: string;
  readonly direction: 'edge' | 'inbound' | 'outbound' | 'egress' | 'operation';
  readonly client: {
    readonly kind: 'anonymous' | 'user' | 'application' | 'service' | 'operator' | 'unknown';
    /** Anonymous id, `issuer|subject`, or SPIFFE ID; empty when unknown. */
    readonly id: string;
    /** The peer's IP address. */
    readonly address: string;
  };
  /** `issuer|subject` of the verified user; empty without one. */
  readonly user: string;
  /** SPIFFE ID of the verified calling service; empty at the edge. */
  readonly caller: string;
  /** SPIFFE ID of the service that was called, an origin for egress; empty when none was chosen. */
  readonly callee: string;
  /** Of a connection without a request: the server name that it asked for. */
  readonly host: string;
  readonly method: string;
  /** The normalised path without query; cut at 256 characters. As received (escaped) when it did not normalise. */
  readonly path: string;
  /** The rule of the model that allowed it, or the nearest one when refused; empty without one. */
  readonly rule: string;
  readonly decision: 'allowed' | 'refused' | 'failed';
  /** Empty when all went well. */
  readonly reason: Reason | '';
  /** More words for operators: which check failed. Never shown outside; never holds a secret. */
  readonly detail: string;
  /** The HTTP status that was answered; 0 when the connection ended without one. */
  readonly status: number;
  /** Body bytes from and to the caller. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationUs: number;
};
