/**
 * Operational messages of Ringwall's own processes: one JSON object a line on stderr.
 *
 * Not the ledger: what happened to a request is a record (`#domain/record`). No secret goes into a field.
 */
export type { Log, LogFields, LogLevel } from './log.ts';
export { createLog, silentLog } from './log.ts';
