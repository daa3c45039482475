import type { Socket } from 'node:net';
import type { Clock } from '#base/clock';
import type { Reason } from '#domain/decision';
import type { Deadlines, Timed } from './deadlines.ts';
import type { Held } from './listener.ts';
import type { Peer } from './peer.ts';
import { afterWrites, reset } from './reset.ts';
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
  /** Closes it at once, with what was written and has not reached the caller. */
  /** Called only once the connection may be made. */
  readonly dial: () => Dialled | undefined;
  /** The callee is there; `peer` when by mTLS. The connection may be cut from here. */
  readonly connected: (peer: Peer | undefined) => void;
  readonly settings: ProxySettings;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Called exactly once. */
  readonly ended: (end: SpliceEnd) => void;
};

/** A permitted TCP connection: bytes go both ways as they come, each side no faster than the other reads. */
export class Splice implements Held, Timed {
  readonly #options: SpliceOptions;
  readonly #caller: Socket;
  readonly #closed = Promise.withResolvers<void>();
  #callee: Socket | undefined;
  #ready = false;
  #over = false;
  #deadlineMs = Infinity;
  /** The connection ends by then, however busy it is: when the one clock or the other says so. */
  #last = { nowMs: Infinity, monotonicMs: Infinity };
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#caller = options.socket;
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

  /**
   * Ends the connection at `timeMs` of the wall clock at the latest. When that clock is set forward, it ends at once if
   * the time has passed then; when it is set back, that wins no time.
   */
  endBy(timeMs: number): void {
    const { clock } = this.#options;
    const monotonicMs = clock.monotonicMs() + timeMs - clock.nowMs();
    this.#last = {
      nowMs: Math.min(this.#last.nowMs, timeMs),
      monotonicMs: Math.min(this.#last.monotonicMs, monotonicMs),
    };
  }

  get deadlineMs(): number {
    return this.#isPast() ? 0 : this.#deadlineMs;
  }

  set deadlineMs(monotonicMs: number) {
    this.#deadlineMs = monotonicMs;
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
    this.#deadlineMs = deadlines.nowMs + settings.connectTimeoutMs;
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

  /** Nothing arrives any more, not even what was read or written before. */
  readonly cut = (): void => {
    this.#tell('', 'cut by the point');
    this.#destroy();
  };

  expired(): void {
    if (this.#isPast()) this.#tell('', 'the certificate of the peer has expired');
    else if (this.#ready) this.#tell('', 'idle for too long');
    else this.#tell('upstream-timeout', 'no connection in time');
    this.#destroy();
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
    caller.on('end', () => afterWrites(callee, () => callee.end()));
    callee.on('end', () => afterWrites(caller, () => caller.end()));
    caller.resume();
  }

  #isPast(): boolean {
    const { clock } = this.#options;
    return clock.nowMs() >= this.#last.nowMs || clock.monotonicMs() >= this.#last.monotonicMs;
  }

  #touch(): void {
    const { deadlines, settings } = this.#options;
    this.#deadlineMs = deadlines.nowMs + settings.spliceIdleTimeoutMs;
  }

  #end(reason: Reason | '', detail: string): void {
    if (this.#over) return;
    this.#tell(reason, detail);
    const { deadlines, settings } = this.#options;
    this.#deadlineMs = deadlines.nowMs + settings.spliceLingerTimeoutMs;
    // What was written before the other side closed still arrives.
    for (const socket of [this.#caller, this.#callee]) {
      if (socket !== undefined) afterWrites(socket, () => socket.destroySoon());
    }
  }

  #tell(reason: Reason | '', detail: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.ended({ reason, detail, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut });
  }

  #settle(): void {
    if (!this.#caller.closed || this.#callee?.closed === false) return;
    this.#options.deadlines.remove(this);
    this.#closed.resolve();
  }

  #destroy(): void {
    reset(this.#caller);
    if (this.#callee !== undefined) reset(this.#callee);
  }
}
