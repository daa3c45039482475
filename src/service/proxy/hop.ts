import { FieldLines, type HeaderList } from '#domain/http';
import type { HeaderLine } from '#domain/limit';
import type { Permit, Refusal } from '#domain/policy';
import type { TransactionRecord } from '#domain/record';
import type { Caller } from './caller.ts';
import type { Exchange } from './exchange.ts';
import type { Series } from './series.ts';
import type { UpstreamPool } from './upstream-pool.ts';

type Direction = TransactionRecord['direction'];

/** Where a request goes once it is permitted. One object per route, made when a bundle is applied. */
export type Destination = {
  readonly kind: 'destination';
  readonly pool: UpstreamPool;
  /** SPIFFE ID, or the origin of an egress. */
  readonly callee: string;
  readonly mode: 'durable' | 'relaxed';
  readonly maxRequestBytes: number;
  readonly maxResponseBytes: number;
  /** The authority that the upstream is addressed by; `undefined` keeps the caller's. */
  readonly authority: string | undefined;
  readonly series: Series;
};

/** A refusal with what operators and the caller are told beyond its reason. */
export type Stop = Refusal & {
  readonly detail?: string;
  readonly headers?: readonly HeaderLine[];
};

export type Admission = {
  readonly kind: 'admitted';
  /** For the answer: where the caller stands. */
  readonly lines: FieldLines;
  /** Told the status of the upstream's answer, or 0 when there was none; called exactly once. */
  readonly settle?: (status: number) => void;
};

/** The body must be read before the stage can decide. */
export type Collect = {
  readonly kind: 'collect';
  readonly maxBytes: number;
  readonly decide: (body: Buffer) => Admission | Stop;
};

export const ADMITTED: Admission = { kind: 'admitted', lines: FieldLines.NONE };

/**
 * What differs between the four places of the pipeline: edge, inbound, outbound, egress. Immutable: a new bundle makes
 * new hops, and a request keeps the one it began with.
 */
export interface Hop<D extends Destination = Destination> {
  readonly direction: Direction;
  /** Whether callers are parts of the system, so that their request ids go on. */
  readonly believesCaller: boolean;
  /** Tallies of requests that find no destination. */
  readonly series: Series;
  route(x: Exchange, path: string): D | Stop;
  identify(x: Exchange, destination: D): Caller | Stop | Promise<Caller | Stop>;
  limit(x: Exchange, destination: D, caller: Caller): Admission | Stop | Collect;
  authorize(x: Exchange, destination: D, caller: Caller): Permit | Stop;
  /** Names of fields that only Ringwall sets and that this caller, being a part of it, is believed. */
  believedFields(caller: Caller): readonly string[];
  /** Adds what the callee is told; everything that a caller could have forged is gone already. */
  dressRequest(headers: HeaderList, x: Exchange, caller: Caller): void;
  /** Takes from the callee's fields what is not its to say, before ours are added. */
  dressAnswer(headers: HeaderList): void;
}
