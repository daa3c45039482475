/**
 * The client of control's API: one HTTP/1.1 exchange over the Unix socket of a state directory. Every command of the
 * CLI that concerns a running system goes through here. The socket's mode is the only access control.
 */
export { callControl, ControlError, controlSocketPath } from './call-control.ts';
export type { ControlMethod, ControlProblem } from './call-control.ts';
