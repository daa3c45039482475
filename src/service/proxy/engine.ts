import type { Clock } from '#base/clock';
import type { TransactionRecord } from '#domain/record';
import { ClientConnection, type ConnectionParts } from './client-connection.ts';
import { Deadlines } from './deadlines.ts';
import type { Hop } from './hop.ts';
import { Http2Connection } from './http2-connection.ts';
import type { Arrival, Held, ListenerOptions } from './listener.ts';
import { Listeners } from './listeners.ts';
import { Pipeline, type ConnectionFacts } from './pipeline.ts';
import type { Peer } from './peer.ts';
import type { Recorder } from './recorder.ts';
import { Refusals } from './refusals.ts';
import { ConnectionIndex, isRevoked, serialName, type Revoked } from './revocation.ts';
import type { Series } from './series.ts';
import { DEFAULT_SETTINGS, type ProxySettings } from './settings.ts';
import type { Dialled } from './upstream-connection.ts';
import { Turn } from './turn.ts';
import { UpstreamPool } from './upstream-pool.ts';

/** Where the connections of one purpose find the hop in force. */
export type HopSlot = { hop: Hop };

/** What a bundle puts in force, all at once. */
export type Change = {
  readonly listeners: readonly ListenerOptions[];
  /** Called between the opening of new listeners and the first request under the new bundle. */
  readonly swap: () => void;
  /** Keys of the pools that the new bundle uses. */
  readonly pools: ReadonlySet<string>;
  readonly revocations: Revocations;
};

/** SPIFFE IDs and certificate serials. */
type Revocations = { readonly identities: Iterable<string>; readonly serials: Iterable<string> };

type RefusedConnection = Pick<
  ConnectionFacts,
  'direction' | 'callee' | 'method' | 'reason' | 'detail' | 'address'
> & {
  readonly caller?: string;
  /** The purpose of the listener that it came to; may be left out where there is one for the direction. */
  readonly listener?: string;
};

/** The parts that gateway and agent share, put together: connections in, connections out, and what ties them. */
export class Engine {
  readonly settings: ProxySettings;
  readonly clock: Clock;
  readonly recorder: Recorder;
  readonly deadlines: Deadlines;
  readonly listeners = new Listeners();
  readonly #pipeline: Pipeline;
  readonly #parts: ConnectionParts;
  readonly #index = new ConnectionIndex();
  readonly #pools = new Map<string, UpstreamPool>();
  readonly #refusals: Refusals;
  readonly #seriesOf: ((direction: TransactionRecord['direction']) => Series) | undefined;
  #connections = 0;
  #revoked: Revoked = { identities: new Set(), serials: new Set() };

  constructor(options: {
    readonly recorder: Recorder;
    readonly clock: Clock;
    readonly settings?: Partial<ProxySettings>;
    /** Where connections are counted that were refused before any request. */
    readonly seriesOf?: (direction: TransactionRecord['direction']) => Series;
  }) {
    this.settings = { ...DEFAULT_SETTINGS, ...options.settings };
    this.clock = options.clock;
    this.recorder = options.recorder;
    this.deadlines = new Deadlines(options.clock);
    this.#pipeline = new Pipeline(options.clock);
    this.#refusals = new Refusals(options.recorder, this.deadlines);
    this.#seriesOf = options.seriesOf;
    const { settings, clock, recorder, deadlines } = this;
    this.#parts = { settings, clock, recorder, deadlines, pipeline: this.#pipeline, turn: new Turn() };
  }

  /** Open connections of callers. */
  get connections(): number {
    return this.#connections;
  }

  get upstreamConnections(): number {
    return [...this.#pools.values()].reduce((sum, pool) => sum + pool.size, 0);
  }

  get revoked(): Revoked {
    return this.#revoked;
  }

  /** Revokes at once, beside what is revoked already, and closes the connections that it concerns. */
  revoke({ identities, serials }: Revocations): void {
    this.#revoked = {
      identities: new Set([...this.#revoked.identities, ...identities]),
      serials: new Set([...this.#revoked.serials, ...serials]),
    };
    this.#index.cut(this.#revoked);
  }

  /**
   * Puts a change in force. When it rejects, nothing has changed but that its revocations act.
   * @throws the system's error when an address cannot be had
   */
  async apply(change: Change): Promise<void> {
    // A revocation only takes away: it does not wait for ports, which another process may hold.
    this.revoke(change.revocations);
    const prepared = await this.listeners.prepare(change.listeners, this.settings.drainTimeoutMs);
    // INVARIANT: no await from here on: no request is decided on by half a bundle.
    this.#revoked = {
      identities: new Set(change.revocations.identities),
      serials: new Set(change.revocations.serials),
    };
    change.swap();
    prepared.commit();
    for (const [key, pool] of this.#pools) {
      if (change.pools.has(key)) continue;
      this.#pools.delete(key);
      pool.retire();
    }
  }

  /** Speaks HTTP with a connection that a listener let in. @param names SPIFFE IDs at its ends */
  converse(arrival: Arrival, slot: HopSlot, names: readonly string[]): Held {
    const accepted = { ...arrival, hop: () => slot.hop };
    const connection =
      arrival.protocol === 'h2'
        ? new Http2Connection(accepted, this.#parts)
        : new ClientConnection(accepted, this.#parts);
    this.hold(connection, arrival.peer === undefined ? names : [...names, serialName(arrival.peer.serial)]);
    return connection;
  }

  /** Keeps a connection findable for revocation until it is closed. */
  hold(connection: Held, names: readonly string[]): void {
    this.#connections++;
    void connection.closed.then(() => void this.#connections--);
    this.#find(connection, names);
  }

  /** Lets a held connection be found by the certificate at one of its ends, too; cuts it if that is revoked by now. */
  bind(connection: Held, { identity, serial }: Peer): void {
    const names = [identity, serialName(serial)];
    this.#find(connection, names);
    if (isRevoked(this.#revoked, names)) connection.cut();
  }

  /** The pool under `key`, made at first use. @param identities SPIFFE IDs at the ends of its connections */
  pool(key: string, dial: () => Dialled | undefined, identities: readonly string[]): UpstreamPool {
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const { settings, deadlines, clock } = this;
      pool = new UpstreamPool(dial, identities, {
        settings,
        deadlines,
        clock,
        turn: this.#parts.turn,
        index: this.#index,
        revoked: () => this.#revoked,
      });
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Records a connection that carried no request: refused, or spliced. */
  record(
    facts: ConnectionFacts,
    mode: 'durable' | 'relaxed',
    done?: (error: Error | undefined) => void,
  ): void {
    this.recorder.append(this.#pipeline.recordConnection(facts), mode, done);
  }

  /** Records a connection that was refused before it could ask for anything. */
  recordRefused({ listener = '', ...refused }: RefusedConnection): void {
    const nothing = { caller: '', rule: '', bytesIn: 0, bytesOut: 0, durationUs: 0 };
    const facts = { ...nothing, ...refused, timeMs: this.clock.nowMs() };
    const record = this.#pipeline.recordConnection(facts);
    this.#seriesOf?.(record.direction).observe(record);
    this.#refusals.add(record, listener);
  }

  /** Accepts no more and lets requests in flight end, within the time for it. */
  async drain(): Promise<void> {
    await this.listeners.drain(this.settings.drainTimeoutMs);
    this.close();
  }

  close(): void {
    this.listeners.close();
    for (const pool of this.#pools.values()) pool.destroy();
    this.#pools.clear();
    this.#refusals.close();
    this.deadlines.close();
  }

  #find(connection: Held, names: readonly string[]): void {
    this.#index.add(connection, names);
    void connection.closed.then(() => this.#index.remove(connection, names));
  }
}
