/**
 * Time as a parameter. Rooms of `domain` never read the clock: they are given times in milliseconds since the epoch.
 * Services are given a `Clock`; tests give them a `FakeClock` and move it.
 */
export type { Clock } from './clock.ts';
export { systemClock } from './clock.ts';
export { FakeClock } from './fake-clock.ts';
