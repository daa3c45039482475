import type { Placement } from '#domain/compile';
import type { Model } from '#domain/model';
import type { Placer, ServiceChanges } from '#service/control';
import { findUnstartable, type WithoutRun } from './find-unstartable.ts';
import type { LocalIssuers } from './local-issuers.ts';
import type { MachinePlacer } from './machine-placer.ts';
import type { ServiceRunner, Start } from './service-runner.ts';
import { UpError } from './up-error.ts';

export type ChangeOverOptions = {
  readonly placer: MachinePlacer;
  readonly runner: ServiceRunner;
  readonly issuers: LocalIssuers;
  readonly withoutRun: WithoutRun;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told of each start that has come to its end. */
  readonly onReady: (start: Start) => void;
  /** Told when another model is in force. */
  readonly onSettled: (placed: Placed) => Promise<void>;
};

/** A model with where its parts are. */
export type Placed = { readonly model: Model; readonly placement: Placement };

const READY_WITHIN_MS = 30_000;
const NOTHING: ServiceChanges = { started: [], restarted: [], ended: [], faults: [] };

/**
 * Brings the services of this machine from one model to the next: what is new runs before anybody is let through to it,
 * what is gone ends after everybody was told. The first model is placed only; its services are started by others.
 */
export class ChangeOver implements Placer {
  readonly #options: ChangeOverOptions;
  readonly #whenUp = Promise.withResolvers<void>();
  #inForce: Placed | undefined;
  #next: Placed | undefined;
  #isUp = false;
  #isEnding = false;
  /** The services that ran when the change began. */
  #before: ReadonlySet<string> | undefined;
  readonly #waiting = new Set<Start>();

  constructor(options: ChangeOverOptions) {
    this.#options = options;
    this.#whenUp.promise.catch(() => {});
  }

  /** What is in force; the first model is from its placement on. */
  get current(): Placed | undefined {
    return this.#inForce;
  }

  /** What is in force, or is to be in force next. */
  get latest(): Placed | undefined {
    return this.#next ?? this.#inForce;
  }

  /** The services of the first model run. */
  begin(): void {
    this.#isUp = true;
    this.#whenUp.resolve();
  }

  /** Takes no more changes; one that waits for its services ends. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.#whenUp.reject(ending());
    await Promise.all([...this.#waiting].map(async start => start.stop()));
  }

  async place(model: Model): Promise<Placement> {
    if (this.#inForce !== undefined) await this.#whenUp.promise;
    this.#carryOn();
    const { placer, issuers } = this.#options;
    const refused = findUnstartable(model, this.#options);
    if (refused !== undefined) throw refused;
    // Before all else: its port may be taken.
    await issuers.start(model);
    const placement = await placer.place(model);
    this.#next = { model, placement };
    this.#inForce ??= this.#next;
    return placement;
  }

  async start(): Promise<void> {
    if (!this.#isUp || this.#next === undefined) return;
    const { runner } = this.#options;
    this.#before = runner.services;
    const starts = await runner.add(this.#next.model, this.#next.placement);
    await Promise.all(starts.map(async start => this.#whenReady(start)));
  }

  async settle(model: Model): Promise<ServiceChanges> {
    const settled = [this.#next, this.#inForce].find(placed => placed?.model === model);
    if (!this.#isUp || this.#isEnding || settled === undefined) return NOTHING;
    const { issuers, onSettled, placer, runner } = this.#options;
    const { placement } = settled;
    this.#inForce = settled;
    this.#next = undefined;
    const before = this.#before ?? runner.services;
    this.#before = undefined;
    await issuers.settle(model);
    const starts = await runner.run(model, placement);
    await placer.settle(model, placement);
    await onSettled(settled);
    const faults = await this.#faultsOf(starts);
    const after = runner.services;
    return {
      started: [...after].filter(name => !before.has(name)),
      restarted: starts.flatMap(({ services }) => services.filter(name => before.has(name))),
      ended: [...before].filter(name => !after.has(name)),
      faults,
    };
  }

  async #whenReady(start: Start): Promise<void> {
    this.#carryOn();
    this.#waiting.add(start);
    try {
      await start.ready(READY_WITHIN_MS);
      this.#options.onReady(start);
    } finally {
      this.#waiting.delete(start);
    }
  }

  async #faultsOf(starts: readonly Start[]): Promise<string[]> {
    const outcomes = await Promise.allSettled(starts.map(async start => this.#whenReady(start)));
    return outcomes.flatMap(outcome =>
      outcome.status === 'fulfilled' ? [] : [(outcome.reason as Error).message],
    );
  }

  #carryOn(): void {
    if (this.#isEnding) throw ending();
  }
}

function ending(): UpError {
  return new UpError('interrupted', 'the system is being taken down');
}
