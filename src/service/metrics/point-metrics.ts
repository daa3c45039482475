import { collectDefaultMetrics, Counter, Gauge, Registry, type Histogram } from 'prom-client';
import type { TransactionRecord } from '#domain/record';
import { BUCKETS_SECONDS, Tally } from './tally.ts';

const LABELS = ['direction', 'service'] as const;

/** The metrics of one enforcement point. */
export class PointMetrics {
  readonly registry = new Registry();
  readonly #tallies = new Map<string, Tally>();

  constructor() {
    const tallies = () => this.#tallies.values();
    collectDefaultMetrics({ register: this.registry });
    const transactions = new Counter({
      name: 'ringwall_transactions_total',
      help: 'Transactions by decision, reason and class of the status answered',
      labelNames: [...LABELS, 'decision', 'reason', 'status'],
      registers: [],
      collect() {
        this.reset();
        for (const tally of tallies()) {
          const { direction, service } = tally;
          for (const { value, ...labels } of tally.counts())
            this.inc({ direction, service, ...labels }, value);
        }
      },
    });
    this.registry.registerMetric(transactions);
    for (const way of ['bytesIn', 'bytesOut'] as const) {
      const bytes = new Counter({
        name: way === 'bytesIn' ? 'ringwall_request_bytes_total' : 'ringwall_response_bytes_total',
        help: 'Body bytes',
        labelNames: LABELS,
        registers: [],
        collect() {
          this.reset();
          for (const tally of tallies())
            this.inc({ direction: tally.direction, service: tally.service }, tally[way]);
        },
      });
      this.registry.registerMetric(bytes);
    }
    this.registry.registerMetric(talliedHistogram(tallies));
  }

  /** @param service by its name in the model; empty for requests that found none */
  series(direction: TransactionRecord['direction'], service: string): Tally {
    const key = `${direction}/${service}`;
    let tally = this.#tallies.get(key);
    if (tally === undefined) this.#tallies.set(key, (tally = new Tally(direction, service)));
    return tally;
  }

  /** A number that is read when it is asked for. */
  gauge(name: string, help: string, read: () => number): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(read());
      },
    });
    this.registry.registerMetric(gauge);
  }

  /** The exposition text (Prometheus text format 0.0.4). */
  scrape(): Promise<string> {
    return this.registry.metrics();
  }
}

/**
 * A histogram whose buckets were counted elsewhere: prom-client's own `observe` hashes its labels each time. A registry
 * asks a metric for nothing but its name and its values.
 */
function talliedHistogram(tallies: () => Iterable<Tally>): Histogram {
  const name = 'ringwall_transaction_duration_seconds';
  const help = 'From the first byte of a request to the end of its answer';
  const metric = {
    name,
    get: async () => ({
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      values: [...tallies()].flatMap(valuesOf),
    }),
  };
  return metric as unknown as Histogram;

  function valuesOf(tally: Tally) {
    const labels = { direction: tally.direction, service: tally.service };
    const buckets = tally.cumulativeBuckets();
    return [
      ...buckets.map((value, index) => ({
        value,
        labels: { ...labels, le: BUCKETS_SECONDS[index] ?? '+Inf' },
        metricName: `${name}_bucket`,
      })),
      { value: tally.durationSeconds, labels, metricName: `${name}_sum` },
      { value: buckets.at(-1) ?? 0, labels, metricName: `${name}_count` },
    ];
  }
}
