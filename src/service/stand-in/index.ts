/**
 * Stand-ins: play services that nobody starts, so that a model can be rehearsed before its system exists.
 *
 * A stand-in answers every request that reaches it, declared or not, and says who it was told is calling: what should
 * not have got through is seen in its answer. On each request it makes each of its service's declared calls once, with
 * bounds on depth and number. `main.ts` is its process: configuration comes as JSON lines on standard input, each the
 * whole truth. Only Node's own modules are loaded there; one process per network namespace has to be small.
 */
export { standInProgram, standInService } from './stand-in-config.ts';
export type { StandInCall, StandInConfig, StandInService } from './stand-in-config.ts';
