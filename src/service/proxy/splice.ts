import type { Socket } from 'node:net';
import type { Reason } from '#domain/decision';
import type { Deadlines, Timed } from './deadlines.ts';
import type { Held } from './listener.ts';
import { codeOf, type Dialled } from './upstream-connection.ts';
import type { ProxySettings } from './settings.ts';

type SpliceEnd = {
  readonly reason: Reason | '';
  readonly detail: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
};

export type SpliceOptions = {
  readonly socket: Socket;
  /** Called only once the connection may be made. */
  readonly dial: () => Dialled | undefined;
  readonly settings: ProxySettings;
  readonly deadlines: Deadlines;
  /** Called exactly once. */
  readonly ended: (end: SpliceEnd) => void;
};

/** A permitted TCP connection: bytes go both ways as they come, each side no faster than the other reads. */
export class Splice implements Held, Timed {
  deadlineMs: number;
  readonly #options: SpliceOptions;
  readonly #caller: Socket;
  readonly #closed = Promise.withResolvers<void>();
  #callee: Socket | undefined;
  #ready = false;
  #over = false;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#caller = options.socket;
    this.deadlineMs = Infinity;
    options.deadlines.add(this);
    // Until the callee is there the caller's bytes stay in the kernel.
    this.#caller.pause();
    this.#caller.on('error', () => {});
    this.#caller.on('close', () => this.#end('', 'the caller closed'));
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Connects to the callee. */
  begin(): void {
    if (this.#over) return;
    const { dial, settings, deadlines } = this.#options;
    const dialled = dial();
    if (dialled === undefined) {
      this.#end('upstream-unverified', 'no valid identity to call under');
      return;
    }
    const callee = dialled.socket;
    this.#callee = callee;
    this.deadlineMs = deadlines.nowMs + settings.connectTimeoutMs;
    callee.on('error', error => {
      if (this.#ready) this.#end('', `the callee broke off: ${codeOf(error)}`);
      else {
        const { reason, detail } = dialled.explain(error);
        this.#end(reason, detail);
      }
    });
    callee.on('close', () => this.#end(this.#ready ? '' : 'upstream-unreachable', 'the callee closed'));
    callee.once(dialled.readyEvent, () => {
      this.#ready = true;
      this.#join(callee);
    });
  }

  refuse(reason: Reason, detail: string): void {
    this.#end(reason, detail);
  }

  /** A spliced connection has no end of its own to wait for. */
  drain(): void {
    this.cut();
  }

  readonly cut = (): void => {
    this.#end('', 'cut by the point');
  };

  expired(): void {
    if (this.#ready) this.#end('', 'idle for too long');
    else this.#end('upstream-timeout', 'no connection in time');
  }

  #join(callee: Socket): void {
    const caller = this.#caller;
    caller.setNoDelay(true);
    callee.setNoDelay(true);
    this.#touch();
    caller.on('data', (chunk: Buffer) => {
      this.#bytesIn += chunk.length;
      this.#touch();
      if (!callee.write(chunk)) caller.pause();
    });
    callee.on('data', (chunk: Buffer) => {
      this.#bytesOut += chunk.length;
      this.#touch();
      if (!caller.write(chunk)) callee.pause();
    });
    caller.on('drain', () => callee.resume());
    callee.on('drain', () => caller.resume());
    // TCP half-close has a meaning to some protocols, and passes.
    caller.on('end', () => callee.end());
    callee.on('end', () => caller.end());
    caller.resume();
  }

  #touch(): void {
    const { deadlines, settings } = this.#options;
    this.deadlineMs = deadlines.nowMs + settings.spliceIdleTimeoutMs;
  }

  #end(reason: Reason | '', detail: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.deadlines.remove(this);
    // What was written before the other side closed still arrives.
    this.#caller.destroySoon();
    this.#callee?.destroySoon();
    this.#options.ended({ reason, detail, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut });
    this.#closed.resolve();
  }
}
