import type { Log } from '#base/log';
import type { Envelope } from '#domain/dsse';
import type { DesiredState } from './desired-state.ts';
import type { PointSession } from './point-session.ts';

/**
 * Finds out what a state has lost that was brought back from an older copy: some point holds a bundle that this control
 * signed and does not know. Until the point has shown it, it is offered no other: that one could take back what the lost
 * one revokes. One point at a time is asked, for bundles may be long.
 */
export class Recovery {
  readonly #desired: DesiredState;
  readonly #log: Log;
  readonly #settled: (session: PointSession) => void;
  readonly #waiting: PointSession[] = [];
  /** Those that could not show it; they stay as they are until they come again. */
  readonly #failed = new WeakSet<PointSession>();
  #asked: PointSession | undefined;

  /** @param options.settled called when a point can be offered bundles again */
  constructor(options: {
    readonly desired: DesiredState;
    readonly log: Log;
    readonly settled: (session: PointSession) => void;
  }) {
    this.#desired = options.desired;
    this.#log = options.log;
    this.#settled = options.settled;
  }

  /** A point said hello. */
  meet(session: PointSession): void {
    const { newest, point } = session;
    if (!this.#desired.isForeign(point.name, newest)) return;
    this.#log.error('a point holds a bundle that control does not know; it is asked to show it', {
      point: point.name,
      version: newest.version,
    });
    this.#waiting.push(session);
    this.#askNext();
  }

  /** UNTRUSTED: the envelope. */
  async shown(session: PointSession, envelope: Envelope | undefined): Promise<void> {
    const why = await this.#adopt(session, envelope);
    if (why !== undefined) {
      this.#failed.add(session);
      this.#log.error('a point holds a bundle that control does not know, and does not show it', {
        point: session.point.name,
        version: session.newest.version,
        why,
      });
    }
    this.left(session);
    if (why === undefined) this.#settled(session);
  }

  left(session: PointSession): void {
    const index = this.#waiting.indexOf(session);
    if (index !== -1) this.#waiting.splice(index, 1);
    if (this.#asked === session) this.#asked = undefined;
    this.#askNext();
  }

  stateOf(session: PointSession): 'known' | 'asked' | 'failed' {
    if (this.#failed.has(session)) return 'failed';
    return this.#asked === session || this.#waiting.includes(session) ? 'asked' : 'known';
  }

  #askNext(): void {
    if (this.#asked !== undefined) return;
    this.#asked = this.#waiting.shift();
    this.#asked?.askToShow();
  }

  /** Returns why not. */
  async #adopt({ point }: PointSession, envelope: Envelope | undefined): Promise<string | undefined> {
    if (envelope === undefined) return 'it has lost it';
    try {
      const outcome = await this.#desired.adopt(point, envelope);
      return outcome.kind === 'refused' ? outcome.message : undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }
}
