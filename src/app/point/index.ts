/**
 * The process of one enforcement point: reads its configuration, opens its journal, becomes gateway or agent, and ends
 * on a signal after the requests in flight. Composition only.
 */
export { runPoint } from './run-point.ts';
