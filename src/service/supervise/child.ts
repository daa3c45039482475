import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { BackOff } from './back-off.ts';
import { isListening } from './is-listening.ts';
import { LineSplitter } from './line-splitter.ts';
import { LogFile } from './log-file.ts';
import { endGroup } from './process-group.ts';
import { SuperviseError } from './supervise-error.ts';

export type ChildSpec = {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly directory: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** The first line on its standard input, asked for at each start. The input stays open. */
  readonly input?: () => string;
  /** Where it accepts connections once it is ready; without it, it is ready as soon as it runs. */
  readonly listens?: { readonly host: string; readonly port: number };
  readonly logPath: string;
  /** How long it has between SIGTERM and SIGKILL; default 5 s. */
  readonly stopGraceMs?: number;
  /** Told of the process id at each start, before anything else can happen. */
  readonly onStart?: (pid: number) => void;
};

type ChildState = 'starting' | 'ready' | 'waiting' | 'stopped';

export type Child = {
  readonly name: string;
  readonly state: ChildState;
  /** Of the running process; `undefined` between two. */
  readonly pid: number | undefined;
  readonly restarts: number;
  /**
   * Resolves once it listens for the first time.
   *
   * @throws {SuperviseError} `exited` when it ended before that, repeatedly; `not-ready` after `timeoutMs`;
   *   `not-started` when there is no such program. It is stopped then.
   */
  ready(timeoutMs: number): Promise<void>;
  /** Writes a further line to its standard input. */
  send(line: string): void;
  /** Ends it and all of its group: SIGTERM, and SIGKILL when that is not heard. */
  stop(): Promise<void>;
};

type Surroundings = { readonly clock: Clock; readonly log: Log };

const STOP_GRACE_MS = 5000;
const LAST_WORDS_MS = 250;
const POLL_MS = 25;
/** A service may need another that is not up yet; what fails three times is broken. */
const STARTS_BEFORE_READY = 3;
const LINES_REMEMBERED = 40;

/** Of a stack trace: says where and not what. */
const STACK_LINE = /^\s+at /;

/** Starts a process and keeps it running until it is stopped. */
export function startChild(spec: ChildSpec, surroundings: Surroundings): Child {
  const child = new SupervisedChild(spec, surroundings);
  child.start();
  return child;
}

class SupervisedChild implements Child {
  readonly name: string;
  state: ChildState = 'starting';
  restarts = 0;
  readonly #spec: ChildSpec;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #logFile: LogFile;
  readonly #backOff = new BackOff();
  readonly #firstReady = Promise.withResolvers<void>();
  #process: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #wasReady = false;
  #recentLines: string[] = [];
  #stopping: Promise<void> | undefined;

  constructor(spec: ChildSpec, { clock, log }: Surroundings) {
    this.name = spec.name;
    this.#spec = spec;
    this.#clock = clock;
    this.#log = log;
    this.#logFile = new LogFile(spec.logPath);
    // Whoever asks for readiness gets the rejection; not asking is no error.
    this.#firstReady.promise.catch(() => {});
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  start(): void {
    const [file, ...args] = this.#spec.command;
    const startedMs = this.#clock.monotonicMs();
    const child = spawn(file, args, {
      cwd: this.#spec.directory,
      env: { ...this.#spec.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C in the terminal is for the supervisor, which ends its children in order.
      detached: true,
    });
    this.state = 'starting';
    this.#process = child;
    this.#recentLines = [];
    if (child.pid !== undefined) this.#spec.onStart?.(child.pid);

    this.#follow(child.stdout, 'out');
    this.#follow(child.stderr, 'err');
    child.stdin.on('error', () => {});
    if (this.#spec.input !== undefined) child.stdin.write(`${this.#spec.input()}\n`);

    child.once('error', error => {
      if (child.pid === undefined) this.#neverStarted(error);
    });
    child.once('exit', (code, signal) => void this.#ended(child, code, signal, startedMs));
    if (child.pid !== undefined) void this.#watchReadiness(child);
  }

  async ready(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => {
      const { host = '', port = 0 } = this.#spec.listens ?? {};
      this.#fail(
        'not-ready',
        `\`${this.name}\` does not listen on ${host}:${port} after ${timeoutMs / 1000} s`,
      );
    }, timeoutMs);
    try {
      await this.#firstReady.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  send(line: string): void {
    this.#process?.stdin?.write(`${line}\n`);
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.state = 'stopped';
    clearTimeout(this.#restart);
    this.#firstReady.reject(new SuperviseError('exited', `\`${this.name}\` was stopped`));
    const child = this.#process;
    if (child?.pid !== undefined) {
      await endGroup(child.pid, this.#spec.stopGraceMs ?? STOP_GRACE_MS);
      await this.#lastWords(child);
    }
    await this.#logFile.close();
  }

  /** What is still in the pipes; one that fled its group may hold them open for ever. */
  async #lastWords(child: ChildProcess): Promise<void> {
    const streams = [child.stdout, child.stderr].filter(stream => stream?.closed === false);
    const ended = Promise.all(streams.map(async stream => stream && once(stream, 'close')));
    const timer = setTimeout(() => streams.forEach(stream => stream?.destroy()), LAST_WORDS_MS);
    await ended;
    clearTimeout(timer);
  }

  #follow(stream: NodeJS.ReadableStream, kind: 'out' | 'err'): void {
    const lines = new LineSplitter(line => {
      this.#recentLines.push(line);
      if (this.#recentLines.length > LINES_REMEMBERED) this.#recentLines.shift();
      this.#logFile.write(`${new Date(this.#clock.nowMs()).toISOString()} ${kind} ${line}`);
    });
    stream.on('data', (chunk: Buffer) => lines.write(chunk));
    stream.on('end', () => lines.end());
    stream.on('error', () => {});
  }

  async #watchReadiness(child: ChildProcess): Promise<void> {
    const { listens } = this.#spec;
    while (this.#process === child && this.#stopping === undefined) {
      if (listens === undefined || (await isListening(listens.host, listens.port, 1000))) {
        // It may have ended, or been replaced, while the connection was tried.
        if (this.#process !== child || this.state !== 'starting') return;
        this.state = 'ready';
        this.#wasReady = true;
        this.#firstReady.resolve();
        return;
      }
      await new Promise(resolve => setTimeout(resolve, POLL_MS));
    }
  }

  async #ended(
    child: ChildProcess,
    code: number | null,
    signal: NodeJS.Signals | null,
    startedMs: number,
  ): Promise<void> {
    if (this.#stopping !== undefined) return;
    const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
    this.state = 'waiting';
    // What the dead leader started goes with it: two generations at once would fight for the port.
    if (child.pid !== undefined) await endGroup(child.pid, this.#spec.stopGraceMs ?? STOP_GRACE_MS);
    if (this.#process === child) this.#process = undefined;
    if (this.#isStopping()) return;
    if (!this.#wasReady && this.restarts + 1 >= STARTS_BEFORE_READY) {
      return this.#fail('exited', `\`${this.name}\` ${how} before it was ready`);
    }
    const waitMs = this.#backOff.next(this.#clock.monotonicMs() - startedMs);
    this.#log.warn('a child process ended', { child: this.name, how, restartInMs: waitMs });
    this.#logFile.write(
      `${new Date(this.#clock.nowMs()).toISOString()} --- ${how}; starts again in ${waitMs} ms`,
    );
    this.#restart = setTimeout(() => {
      this.restarts += 1;
      this.start();
    }, waitMs);
  }

  #isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  #neverStarted(cause: Error): void {
    this.#process = undefined;
    this.#fail('not-started', `\`${this.name}\` cannot be started: ${reasonOf(cause, this.#spec)}`, {
      cause,
    });
  }

  #fail(code: 'exited' | 'not-ready' | 'not-started', message: string, options?: ErrorOptions): void {
    const said =
      this.#recentLines.findLast(line => /\b\w*error\b/i.test(line) && !STACK_LINE.test(line)) ??
      this.#recentLines.at(-1);
    const words = said === undefined ? '' : `; it said: ${said.trim().slice(0, 300)}`;
    const log = code === 'not-started' ? '' : `; its log is ${this.#spec.logPath}`;
    this.#firstReady.reject(new SuperviseError(code, `${message}${words}${log}`, options));
    if (this.#wasReady) this.#log.error(message, { child: this.name });
    void this.stop();
  }
}

function reasonOf(cause: Error & { code?: string }, { command, directory }: ChildSpec): string {
  return cause.code === 'ENOENT'
    ? `no program \`${command[0]}\`, or no directory ${directory}`
    : cause.message;
}
