import type { Socket } from 'node:net';
import type { Reason } from '#domain/decision';
import type { Deadlines, Timed } from './deadlines.ts';
import type { Held } from './listener.ts';
import type { Peer } from './peer.ts';
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
  /** The callee is there; `peer` when by mTLS. The connection may be cut from here. */
  readonly connected: (peer: Peer | undefined) => void;
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
  /** Monotonic; the connection ends then, however busy it is. */
  #lastMs = Infinity;
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
    this.#caller.on('close', () => {
      this.#end('', 'the caller closed');
      this.#settle();
    });
  }

  /** Resolves once neither side has a socket any more. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Ends the connection at `monotonicMs` at the latest. */
  endBy(monotonicMs: number): void {
    this.#lastMs = Math.min(this.#lastMs, monotonicMs);
    this.deadlineMs = Math.min(this.deadlineMs, monotonicMs);
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
    this.#waitUntil(deadlines.nowMs + settings.connectTimeoutMs);
    callee.on('error', error => {
      if (this.#ready) this.#end('', `the callee broke off: ${codeOf(error)}`);
      else {
        const { reason, detail } = dialled.explain(error);
        this.#end(reason, detail);
      }
    });
    callee.on('close', () => {
      this.#end(this.#ready ? '' : 'upstream-unreachable', 'the callee closed');
      this.#settle();
    });
    callee.once(dialled.readyEvent, () => {
      if (this.#over) return;
      this.#ready = true;
      this.#options.connected(dialled.peer());
      if (!this.#over) this.#join(callee);
    });
  }

  refuse(reason: Reason, detail: string): void {
    this.#end(reason, detail);
  }

  /** A spliced connection has no end of its own to wait for. */
  drain(): void {
    this.#end('', 'the point accepts no more');
  }

  /** Nothing arrives any more, not even what was read before. */
  readonly cut = (): void => {
    this.#destroy();
    this.#end('', 'cut by the point');
  };

  expired(): void {
    this.#destroy();
    if (this.#lastMs <= this.#options.deadlines.nowMs)
      this.#end('', 'the certificate of the peer has expired');
    else if (this.#ready) this.#end('', 'idle for too long');
    else this.#end('upstream-timeout', 'no connection in time');
  }

  #join(callee: Socket): void {
    const caller = this.#caller;
    caller.setNoDelay(true);
    callee.setNoDelay(true);
    this.#touch();
    caller.on('data', (chunk: Buffer) => {
      // What comes after the end finds nobody.
      if (this.#over) return;
      this.#bytesIn += chunk.length;
      this.#touch();
      if (!callee.write(chunk)) caller.pause();
    });
    callee.on('data', (chunk: Buffer) => {
      if (this.#over) return;
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

  #waitUntil(deadlineMs: number): void {
    this.deadlineMs = Math.min(deadlineMs, this.#lastMs);
  }

  #touch(): void {
    const { deadlines, settings } = this.#options;
    this.#waitUntil(deadlines.nowMs + settings.spliceIdleTimeoutMs);
  }

  #end(reason: Reason | '', detail: string): void {
    if (this.#over) return;
    this.#over = true;
    const { deadlines, settings } = this.#options;
    this.#waitUntil(deadlines.nowMs + settings.spliceLingerTimeoutMs);
    // What was written before the other side closed still arrives.
    this.#caller.destroySoon();
    this.#callee?.destroySoon();
    this.#options.ended({ reason, detail, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut });
  }

  #settle(): void {
    if (!this.#caller.closed || this.#callee?.closed === false) return;
    this.#options.deadlines.remove(this);
    this.#closed.resolve();
  }

  #destroy(): void {
    this.#caller.destroy();
    this.#callee?.destroy();
  }
}
