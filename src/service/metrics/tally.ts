import type { Reason } from '#domain/decision';
import type { TransactionRecord } from '#domain/record';

/** Upper bounds of the latency buckets, in seconds. */
export const BUCKETS_SECONDS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
const BUCKETS_US = BUCKETS_SECONDS.map(seconds => seconds * 1e6);
const STATUS_CLASSES = 6;

export type Count = {
  readonly decision: TransactionRecord['decision'];
  readonly reason: Reason | '';
  /** `2xx`; `none` for a connection that ended without an answer. */
  readonly status: string;
  readonly value: number;
};

/** The transactions of one service in one direction, as plain numbers. */
export class Tally {
  readonly direction: TransactionRecord['direction'];
  readonly service: string;
  bytesIn = 0;
  bytesOut = 0;
  durationSeconds = 0;
  readonly #buckets = new Float64Array(BUCKETS_US.length + 1);
  readonly #allowed = new Float64Array(STATUS_CLASSES);
  /** By reason; each reason has one decision. */
  readonly #others = new Map<
    Reason,
    { readonly decision: Count['decision']; readonly counts: Float64Array }
  >();

  constructor(direction: TransactionRecord['direction'], service: string) {
    this.direction = direction;
    this.service = service;
  }

  observe(record: TransactionRecord): void {
    const { reason, durationUs } = record;
    this.bytesIn += record.bytesIn;
    this.bytesOut += record.bytesOut;
    this.durationSeconds += durationUs / 1e6;
    let bucket = 0;
    while (bucket < BUCKETS_US.length && durationUs > (BUCKETS_US[bucket] ?? 0)) bucket++;
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    const counts = reason === '' ? this.#allowed : this.#countsOf(reason, record.decision);
    const statusClass = Math.trunc(record.status / 100);
    counts[statusClass] = (counts[statusClass] ?? 0) + 1;
  }

  /** Cumulative, as Prometheus wants them; the last one is `+Inf`. */
  cumulativeBuckets(): number[] {
    let sum = 0;
    return Array.from(this.#buckets, count => (sum += count));
  }

  counts(): Count[] {
    const counts = countsIn(this.#allowed, 'allowed', '');
    for (const [reason, { decision, counts: others }] of this.#others)
      counts.push(...countsIn(others, decision, reason));
    return counts;
  }

  #countsOf(reason: Reason, decision: Count['decision']): Float64Array {
    let entry = this.#others.get(reason);
    if (entry === undefined)
      this.#others.set(reason, (entry = { decision, counts: new Float64Array(STATUS_CLASSES) }));
    return entry.counts;
  }
}

function countsIn(counts: Float64Array, decision: Count['decision'], reason: Reason | ''): Count[] {
  const found: Count[] = [];
  counts.forEach((value, statusClass) => {
    if (value > 0)
      found.push({ decision, reason, status: statusClass === 0 ? 'none' : `${statusClass}xx`, value });
  });
  return found;
}
