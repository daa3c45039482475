import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import type { Envelope } from '#domain/dsse';
import type { StateStore, StoredPoint } from '#service/store';
import type { DesiredState } from './desired-state.ts';
import type { PointName } from './join-tokens.ts';
import type { PointReport, PointSession } from './point-session.ts';
import { Recovery } from './recovery.ts';

/** How a change reached one point. */
export type PointTiming = {
  readonly point: string;
  readonly state: 'applied' | 'rejected' | 'lagging' | 'disconnected';
  /** From the change to the point's report of having applied it. */
  readonly tookMs: number | undefined;
  /** Why it was rejected. */
  readonly message?: string;
};

/** One line of `ringwall status`. */
export type PointStatus = {
  readonly name: string;
  readonly kind: PointName['kind'];
  readonly connected: boolean;
  readonly appliedVersion: number;
  readonly wantedVersion: number;
  /** How long the point has been behind the wanted version; 0 when it is not. */
  readonly lagMs: number;
  /** Why it does not apply the wanted version; empty when it does, or is about to. */
  readonly rejected: string;
  /**
   * The version of a bundle that it holds and this control does not know, for its state was brought back from an older
   * copy. The point gets no other bundle before it has shown this one.
   */
  readonly unknownVersion: number | null;
  /** Of its first certificate to expire; `null` when it has not said. */
  readonly certificateNotAfterMs: number | null;
  readonly recordsBehind: number;
  readonly journalHealthy: boolean;
  /** 0 when it was never here. */
  readonly lastSeenMs: number;
};

const UNKNOWN_BUNDLE = 'it holds a bundle that this control does not know, and does not show it';

type Member = {
  readonly point: PointName;
  session: PointSession | undefined;
  enrolledAtMs: number;
  lastSeenMs: number;
  report: PointReport | undefined;
  /** What was in force when the store was last written. */
  keptVersion: number;
};

/** All enforcement points that ever enrolled, connected or not, and what is in force at each of them. */
export class Fleet {
  readonly #desired: DesiredState;
  readonly #store: StateStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #members = new Map<string, Member>();
  readonly #reportListeners = new Set<() => void>();
  readonly #recovery: Recovery;

  constructor(options: {
    readonly desired: DesiredState;
    readonly store: StateStore;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#desired = options.desired;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#recovery = new Recovery({ ...options, settled: session => this.#offer(session) });
    for (const { name, kind, enrolledAtMs, lastSeenMs, appliedVersion } of options.store.points()) {
      const member = this.#memberOf({ name, kind });
      Object.assign(member, { enrolledAtMs, lastSeenMs, keptVersion: appliedVersion });
    }
  }

  enrolled(point: PointName): void {
    this.#memberOf(point).enrolledAtMs = this.#clock.nowMs();
    this.save();
  }

  /** Takes a stream; an older one of the same point gives way, for it is what a restart or a lost network left. */
  connected(session: PointSession): void {
    const member = this.#memberOf(session.point);
    member.session?.close();
    member.session = session;
    member.keptVersion = member.report?.appliedVersion ?? member.keptVersion;
    member.report = undefined;
    this.#log.info('point connected', { point: session.point.name });
  }

  disconnected(session: PointSession): void {
    this.#recovery.left(session);
    const member = this.#members.get(session.point.name);
    if (member?.session !== session) return;
    member.session = undefined;
    this.#log.info('point disconnected', { point: session.point.name });
    this.#announce();
  }

  /** A point said hello or reported; it gets the wanted bundle when it is new. */
  reported(session: PointSession): void {
    const member = this.#members.get(session.point.name);
    if (member?.session !== session) return;
    const isNew = member.report === undefined;
    member.report = session.report;
    member.lastSeenMs = this.#clock.nowMs();
    if (isNew) this.#recovery.meet(session);
    this.#offer(session);
    this.#announce();
  }

  /** A point showed the bundle that it was asked for. */
  async shown(session: PointSession, envelope: Envelope | undefined): Promise<void> {
    await this.#recovery.shown(session, envelope);
    this.#announce();
  }

  /** Sends every point its wanted bundle. */
  push(): void {
    for (const { session } of this.#members.values()) if (session !== undefined) this.#offer(session);
  }

  sessions(): PointSession[] {
    return [...this.#members.values()].flatMap(({ session }) => (session === undefined ? [] : [session]));
  }

  /**
   * Resolves once every connected point has applied or rejected the version, has gone, or `timeoutMs` is over. Points
   * that are not connected are not waited for: they get the version when they return.
   *
   * @param sinceMs monotonic time at which the change began
   */
  async settled(version: number, sinceMs: number, timeoutMs: number): Promise<PointTiming[]> {
    const waiting = new Map<string, PointTiming | undefined>();
    for (const name of this.#desired.bundles.keys()) waiting.set(name, undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      for (const [name, known] of waiting)
        if (known === undefined) waiting.set(name, this.#timingOf(name, version, sinceMs));
      if ([...waiting.values()].every(timing => timing !== undefined)) resolve();
    };
    const timer = setTimeout(resolve, timeoutMs);
    this.#reportListeners.add(look);
    look();
    await promise;
    clearTimeout(timer);
    this.#reportListeners.delete(look);
    return [...waiting].map(([point, timing]) => timing ?? { point, state: 'lagging', tookMs: undefined });
  }

  status(): PointStatus[] {
    const names = new Set([...this.#desired.bundles.keys(), ...this.#members.keys()]);
    return [...names].sort().map(name => this.#statusOf(name));
  }

  /** Keeps what is known of the points; called from time to time and at the end, for it is of use to people only. */
  save(): void {
    const points: StoredPoint[] = [];
    for (const member of this.#members.values()) {
      member.keptVersion = member.report?.appliedVersion ?? member.keptVersion;
      const { point, enrolledAtMs, lastSeenMs, keptVersion: appliedVersion } = member;
      points.push({ name: point.name, kind: point.kind, enrolledAtMs, lastSeenMs, appliedVersion });
    }
    this.#store.savePoints(points);
  }

  #offer(session: PointSession): void {
    if (this.#recovery.stateOf(session) !== 'known') return;
    const wanted = this.#desired.bundles.get(session.point.name);
    if (wanted !== undefined && wanted.bundle.kind === session.point.kind) session.offer(wanted);
  }

  #timingOf(name: string, version: number, sinceMs: number): PointTiming | undefined {
    const member = this.#members.get(name);
    if (member?.session === undefined) return { point: name, state: 'disconnected', tookMs: undefined };
    const { report } = member;
    if (report === undefined) return undefined;
    if (this.#recovery.stateOf(member.session) === 'failed') {
      return { point: name, state: 'rejected', tookMs: undefined, message: UNKNOWN_BUNDLE };
    }
    if (report.appliedVersion >= version && report.appliedVersion <= this.#desired.version)
      return { point: name, state: 'applied', tookMs: this.#clock.monotonicMs() - sinceMs };
    if (report.rejected === undefined || report.rejected.version < version) return undefined;
    return { point: name, state: 'rejected', tookMs: undefined, message: report.rejected.message };
  }

  #statusOf(name: string): PointStatus {
    const member = this.#members.get(name);
    const wanted = this.#desired.bundles.get(name);
    const appliedVersion = member?.report?.appliedVersion ?? member?.keptVersion ?? 0;
    const wantedVersion = wanted?.bundle.version ?? 0;
    const session = member?.session;
    const held = session === undefined ? 'known' : this.#recovery.stateOf(session);
    return {
      name,
      kind: member?.point.kind ?? wanted?.bundle.kind ?? 'agent',
      connected: session !== undefined,
      appliedVersion,
      wantedVersion,
      lagMs: appliedVersion >= wantedVersion ? 0 : this.#clock.monotonicMs() - this.#desired.wantedSinceMs,
      rejected: held === 'failed' ? UNKNOWN_BUNDLE : rejectionOf(member?.report, wantedVersion),
      unknownVersion: held === 'known' ? null : (session?.newest.version ?? null),
      certificateNotAfterMs: member?.report?.certificateNotAfterMs || null,
      recordsBehind: member?.report?.recordsBehind ?? 0,
      journalHealthy: member?.report?.journalHealthy ?? true,
      lastSeenMs: member?.lastSeenMs ?? 0,
    };
  }

  #memberOf(point: PointName): Member {
    const known = this.#members.get(point.name);
    if (known !== undefined && known.point.kind === point.kind) return known;
    const member: Member = {
      point,
      session: undefined,
      enrolledAtMs: 0,
      lastSeenMs: 0,
      report: undefined,
      keptVersion: 0,
    };
    known?.session?.close();
    this.#members.set(point.name, member);
    return member;
  }

  #announce(): void {
    for (const listener of this.#reportListeners) listener();
  }
}

function rejectionOf(report: PointReport | undefined, wantedVersion: number): string {
  const rejected = report?.rejected;
  return rejected !== undefined && rejected.version >= wantedVersion ? rejected.message : '';
}
