/**
 * The trace that a request belongs to: `traceparent` and `tracestate` read, continued and written (W3C Trace Context).
 *
 * Whoever calls may claim any trace: ids here tie records together and decide nothing. Random bytes come in as
 * parameters. Not here: spans, sampling and export.
 */
export { continueTrace, formatTraceparent, readTrace, startTrace } from './trace-context.ts';
export type { TraceContext } from './trace-context.ts';
