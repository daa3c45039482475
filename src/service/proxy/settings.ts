import { DEFAULT_LIMITS, type HttpLimits } from '#domain/http';

/** Bounds on what a peer can hold. Times in milliseconds. */
export type ProxySettings = {
  readonly http: HttpLimits;
  readonly handshakeTimeoutMs: number;
  /** From a request's first byte to the end of its head, however it trickles. */
  readonly headTimeoutMs: number;
  /** Between requests on one connection. */
  readonly keepAliveTimeoutMs: number;
  /** Without one byte of a body that is expected, in either direction. */
  readonly bodyIdleTimeoutMs: number;
  /** Bodies must keep this rate on average, both ways, once `rateGraceMs` of waiting for the peer are used up. */
  readonly minBytesPerSecond: number;
  readonly rateGraceMs: number;
  readonly connectTimeoutMs: number;
  /** From the end of the request to the head of its answer. */
  readonly answerTimeoutMs: number;
  readonly upstreamKeepAliveTimeoutMs: number;
  /** For a TCP connection that is spliced: without a byte in either direction. */
  readonly spliceIdleTimeoutMs: number;
  /** After one side of it has ended: how long the other may take to read what is left for it. */
  readonly spliceLingerTimeoutMs: number;
  /** After an answer that did not wait for its request's body: how long, and how much, is read and dropped. */
  readonly lingerTimeoutMs: number;
  readonly lingerBytes: number;
  readonly drainTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly maxRequestsPerConnection: number;
  readonly maxUpstreamConnections: number;
  /** Requests that wait for a connection to one upstream. */
  readonly maxWaiting: number;
  /** In durable mode: how much of an answer is held back at most until its record is on disk. */
  readonly holdBytes: number;
  /** The body that a stage may ask for before the request goes on. */
  readonly collectBytes: number;
};

export const DEFAULT_SETTINGS: ProxySettings = {
  http: DEFAULT_LIMITS,
  handshakeTimeoutMs: 10_000,
  headTimeoutMs: 10_000,
  keepAliveTimeoutMs: 60_000,
  bodyIdleTimeoutMs: 30_000,
  minBytesPerSecond: 512,
  rateGraceMs: 20_000,
  connectTimeoutMs: 5_000,
  answerTimeoutMs: 30_000,
  upstreamKeepAliveTimeoutMs: 50_000,
  spliceIdleTimeoutMs: 3_600_000,
  spliceLingerTimeoutMs: 30_000,
  lingerTimeoutMs: 2_000,
  lingerBytes: 1_048_576,
  drainTimeoutMs: 10_000,
  maxConnections: 8_192,
  maxConnectionsPerAddress: 1_024,
  maxRequestsPerConnection: 1_000_000,
  maxUpstreamConnections: 512,
  maxWaiting: 1_024,
  holdBytes: 65_536,
  collectBytes: 65_536,
};
