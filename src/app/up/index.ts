/**
 * `ringwall up`: one machine's whole system from one model. Composition: control with authority, ledger and issuers in
 * this process; gateway and agent as processes of their own; services and stand-ins, each in its network namespace
 * where the machine allows it.
 *
 * What is started is ended by one stack, in reverse order; a start that fails leaves nothing.
 */
export { runUp } from './run-up.ts';
export type { ReadyFile } from './ready-file.ts';
