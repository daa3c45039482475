import type { Clock } from '#base/clock';
import type { Timed } from './deadlines.ts';
import { isRevoked, serialName, type ConnectionIndex, type Revoked } from './revocation.ts';
import {
  UpstreamConnection,
  type AnswerSink,
  type ConnectionOwner,
  type Dialled,
  type UpstreamParts,
} from './upstream-connection.ts';

/** Makes the socket of a new connection; `undefined` when there is no identity to call under. */
export type Dial = () => Dialled | undefined;

export type PoolParts = UpstreamParts & {
  readonly clock: Clock;
  /** For mTLS pools: where connections are found by identity and serial. */
  readonly index: ConnectionIndex;
  readonly revoked: () => Revoked;
};

type Waiter = { readonly sink: AnswerSink; readonly deadlineMs: number };

/** Keeps connections to one upstream, bounded in number; requests above the bound wait, bounded in number and time. */
export class UpstreamPool implements ConnectionOwner, Timed {
  deadlineMs = Infinity;
  readonly #dial: Dial;
  readonly #parts: PoolParts;
  /** SPIFFE IDs at both ends. */
  readonly #identities: readonly string[];
  readonly #all = new Set<UpstreamConnection>();
  /** Used last in, first out: what is not needed grows old and is closed. */
  readonly #idle: UpstreamConnection[] = [];
  readonly #names = new Map<UpstreamConnection, readonly string[]>();
  #waiting: Waiter[] = [];
  #retired = false;

  constructor(dial: Dial, identities: readonly string[], parts: PoolParts) {
    this.#dial = dial;
    this.#identities = identities;
    this.#parts = parts;
    parts.deadlines.add(this);
  }

  get size(): number {
    return this.#all.size;
  }

  /** Answers by `upstreamReady` or `upstreamFailed` of the sink, perhaps before it returns. */
  acquire(sink: AnswerSink): void {
    const connection = this.#takeIdle();
    if (connection !== undefined) {
      connection.reserve(sink);
      return;
    }
    this.acquireFresh(sink);
  }

  /** As `acquire`, on a connection that was not used before. */
  acquireFresh(sink: AnswerSink): void {
    const { settings, deadlines } = this.#parts;
    if (this.#all.size < settings.maxUpstreamConnections) {
      this.#connect(sink);
      return;
    }
    if (this.#waiting.length >= settings.maxWaiting) {
      sink.upstreamFailed({
        reason: 'overloaded',
        detail: 'too many requests wait for this upstream',
        stale: false,
      });
      return;
    }
    this.#waiting.push({ sink, deadlineMs: deadlines.nowMs + settings.connectTimeoutMs });
    this.#nextDeadline();
  }

  /** The sink no longer wants a connection that it may be waiting for. */
  forget(sink: AnswerSink): void {
    if (this.#waiting.length > 0) this.#waiting = this.#waiting.filter(waiter => waiter.sink !== sink);
  }

  /** Ends idle connections now and the others after their answers: the pool's upstream is no longer in the bundle. */
  retire(): void {
    this.#retired = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
    this.#parts.deadlines.remove(this);
  }

  destroy(): void {
    this.retire();
    for (const connection of this.#all) connection.cut();
    for (const { sink } of this.#waiting.splice(0)) {
      sink.upstreamFailed({ reason: 'draining', detail: 'the point stops', stale: false });
    }
  }

  expired(): void {
    const { nowMs } = this.#parts.deadlines;
    while (this.#waiting[0] !== undefined && this.#waiting[0].deadlineMs <= nowMs) {
      const waiter = this.#waiting.shift();
      waiter?.sink.upstreamFailed({
        reason: 'overloaded',
        detail: 'no free connection in time',
        stale: false,
      });
    }
    this.#nextDeadline();
  }

  ready(connection: UpstreamConnection): void {
    const peer = connection.dialled.peer();
    const names = peer === undefined ? this.#identities : [...this.#identities, serialName(peer.serial)];
    this.#names.set(connection, names);
    this.#parts.index.add(connection, names);
    // Until now the index did not know it: a revocation in the meantime has not cut it.
    if (isRevoked(this.#parts.revoked(), names)) connection.cut();
  }

  released(connection: UpstreamConnection): void {
    if (this.#isPast(connection)) {
      connection.destroy();
      return;
    }
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      connection.reserve(waiter.sink);
      this.#nextDeadline();
    } else if (this.#retired) {
      connection.destroy();
    } else {
      this.#idle.push(connection);
    }
  }

  closed(connection: UpstreamConnection): void {
    this.#all.delete(connection);
    const names = this.#names.get(connection);
    if (names !== undefined) {
      this.#parts.index.remove(connection, names);
      this.#names.delete(connection);
    }
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) this.#connect(waiter.sink);
  }

  #takeIdle(): UpstreamConnection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return undefined;
      if (connection.isIdle && !this.#isPast(connection)) return connection;
      connection.destroy();
    }
  }

  #isPast(connection: UpstreamConnection): boolean {
    return connection.dialled.retireAtMs <= this.#parts.clock.nowMs();
  }

  #connect(sink: AnswerSink): void {
    const dialled = this.#dial();
    if (dialled === undefined) {
      sink.upstreamFailed({
        reason: 'upstream-unverified',
        detail: 'no valid identity to call under',
        stale: false,
      });
      return;
    }
    const connection = new UpstreamConnection(dialled, this, this.#parts);
    this.#all.add(connection);
    sink.upstreamConnecting(connection);
    connection.reserve(sink);
  }

  #nextDeadline(): void {
    this.deadlineMs = this.#waiting[0]?.deadlineMs ?? Infinity;
  }
}
