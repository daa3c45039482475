import type { ExitCode } from './io.ts';

/** Called once by a command's action with the exit code of the process. */
export type Finish = (code: ExitCode) => void;
