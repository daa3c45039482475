import type { Shot } from '#domain/attack';
import type { TransactionRecord } from '#domain/record';
import type { CellState, Ring } from '#domain/rings';
import type { Verdict } from './judge.ts';
import type { Observation } from './observation.ts';

/** One shot with all that shows what became of it. */
export type ShotResult = {
  readonly shot: Pick<Shot, 'id' | 'service' | 'target'> & {
    readonly attack: Pick<Shot['attack'], 'id' | 'ring' | 'vantage' | 'title' | 'references'>;
  };
  readonly verdict: Verdict;
  readonly evidence: Evidence;
};

type Evidence = {
  readonly control: Observation | undefined;
  readonly observation: Observation;
  /** Empty when nothing was answered that has one. */
  readonly requestId: string;
  readonly record: TransactionRecord | undefined;
  /** What went over the wire, latin1, cut; credentials are named and not shown. */
  readonly sent: string;
  readonly received: string;
  readonly durationMs: number;
  /** Does just this again. */
  readonly replay: string;
  /** Does it again with curl or openssl alone, where these can. */
  readonly byHand?: string;
};

/** The last that is known of one shot. */
export type LastResult = {
  readonly id: string;
  readonly service: string;
  readonly ring: Ring;
  readonly verdict: Verdict;
  readonly atMs: number;
  /** The file with its evidence. */
  readonly proof: string;
};

/** Everything that one run of `ringwall prove` found. */
export type Proof = {
  readonly version: 2;
  readonly system: string;
  /** `sha256:<hex>` of the model's text. */
  readonly model: string;
  readonly startedMs: number;
  readonly durationMs: number;
  readonly network: { readonly kind: 'enforced' } | { readonly kind: 'not-enforced'; readonly why: string };
  readonly results: readonly ShotResult[];
  /** Of attacks that this run did not make: what earlier ones showed, as far as it still counts. */
  readonly earlier: readonly LastResult[];
  readonly matrix: Matrix;
};

/** By service, then by ring. */
export type Matrix = Readonly<Record<string, Readonly<Record<Ring, Cell>>>>;

/** `-`: neither required nor there. */
export type Cell = {
  readonly state: CellState | '-';
  readonly why: string;
  /** When the oldest of the attacks was made that this rests on; `null` when it rests on none. */
  readonly sinceMs: number | null;
  /** The files with the evidence. */
  readonly proofs: readonly string[];
};

export type Tally = { readonly held: number; readonly failed: number; readonly inconclusive: number };

export function tally(results: readonly Pick<ShotResult, 'verdict'>[]): Tally {
  const count = (kind: Verdict['kind']) => results.filter(({ verdict }) => verdict.kind === kind).length;
  return { held: count('held'), failed: count('failed'), inconclusive: count('inconclusive') };
}
