/**
 * What an enforcement point tells Prometheus: `/metrics` and `/healthz` on its admin address, which is on loopback.
 *
 * Labels come from the model and from the table of reasons, never from a caller, so that no stranger can make the
 * number of series grow. Requests are tallied in plain numbers; prom-client sees them when it is scraped.
 */
export { AdminServer } from './admin-server.ts';
export { PointMetrics } from './point-metrics.ts';
