/** What a command may touch of the process: given by `main`, faked by tests. */
export type Io = {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether `out` is a terminal that shows colours. */
  readonly colour: boolean;
};

/** Exit codes of every command. 64 and above follow sysexits.h. */
export const EXIT = {
  ok: 0,
  /** The answer is no: refused, an attack got through, the ledger is damaged. */
  negative: 1,
  /** The question could not be answered. */
  undecided: 2,
  /** Wrong words on the command line, or a model that does not hold. */
  usage: 64,
  /** Input file cannot be read. */
  noInput: 66,
  /** Nothing answers: Ringwall is not running here. */
  unavailable: 69,
  /** Our own bug. */
  internal: 70,
  /** A file or port could not be created. */
  cannotCreate: 73,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
