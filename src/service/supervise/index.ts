/**
 * Child processes of `ringwall up`: points, services and stand-ins. Each runs in a process group of its own with a
 * named environment, writes into a bounded log, is restarted with growing pauses, and is ended together with all that
 * it started.
 *
 * `claimState` lets one instance at a time use a state directory; `openRoster` records what was started, so that the
 * next run can end what a crashed one left. Knows nothing of models or networks.
 */
export { startChild } from './child.ts';
export type { Child, ChildSpec } from './child.ts';
export { childEnvironment } from './environment.ts';
export { claimState } from './claim-state.ts';
export { openRoster } from './roster.ts';
export { isListening } from './is-listening.ts';
export { killGroup } from './process-group.ts';
export { SuperviseError } from './supervise-error.ts';
export { LogFile } from './log-file.ts';
