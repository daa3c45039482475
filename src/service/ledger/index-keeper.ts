import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { isDamage, SearchIndex, type IndexedEntry } from './search-index.ts';
import type { EpochState } from './sequences.ts';

export type IndexKeeperOptions = {
  /** The file of the index; `:memory:` keeps it nowhere. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
};

/** What there is to index. */
export type IndexSource = {
  readonly size: () => number;
  /** Some entries from an index on, in their order. */
  readonly read: (from: number) => Promise<readonly IndexedEntry[]>;
};

const WAIT_MS = 2_000;
const LOOK_EVERY_MS = 20;
/** How often an index that is damaged is asked again when it has been made again. */
const MAX_TRIES = 3;

/**
 * Brings the search index up to the ledger, in the background and a few milliseconds at a time. An index that turns
 * out to be damaged is made again: all that it says follows from the entries.
 */
export class IndexKeeper {
  readonly #options: IndexKeeperOptions;
  #index: SearchIndex;
  #source: IndexSource = { size: () => 0, read: async () => [] };
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: IndexKeeperOptions) {
    this.#options = options;
    this.#index = SearchIndex.open(options.file);
  }

  /** The first entry that search does not know. */
  get nextIndex(): number {
    return this.#index.nextIndex;
  }

  /** How far the points had come with the entries before `nextIndex`. */
  epochs(): EpochState[] {
    try {
      return this.#index.epochs();
    } catch (error) {
      this.#renew(error);
      return [];
    }
  }

  /** Forgets entries from `index` on: the ledger does not have them. */
  truncate(index: number): void {
    try {
      this.#index.truncate(index);
    } catch (error) {
      this.#renew(error);
    }
  }

  /** From now on, indexes what `source` has. */
  follow(source: IndexSource): void {
    this.#source = source;
    this.start();
  }

  /** There may be more to index. */
  start(): void {
    if (this.#closed) return;
    this.#running ??= this.#run()
      .catch((error: unknown) =>
        this.#options.log.error('search index not written', { error: String(error) }),
      )
      .finally(() => (this.#running = undefined));
  }

  /** Asks the index when it has all entries, or has been waited for long enough. */
  async ask<T>(question: (index: SearchIndex) => T | Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      await this.#untilAllThere();
      const asked = this.#index;
      try {
        return await question(asked);
      } catch (error) {
        if (this.#index === asked) this.#renew(error);
        if (tries === MAX_TRIES) throw error;
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    this.#index.close();
  }

  async #run(): Promise<void> {
    while (this.#index.nextIndex < this.#source.size() && !this.#closed) {
      const entries = await this.#source.read(this.#index.nextIndex);
      try {
        this.#index.add(entries);
      } catch (error) {
        this.#renew(error);
      }
      await new Promise(resolve => void setImmediate(resolve));
    }
  }

  async #untilAllThere(): Promise<void> {
    const { clock } = this.#options;
    const wanted = this.#source.size();
    const untilMs = clock.monotonicMs() + WAIT_MS;
    while (this.#index.nextIndex < wanted && clock.monotonicMs() < untilMs) {
      const before = this.#index.nextIndex;
      this.start();
      await Promise.race([this.#running, sleep(LOOK_EVERY_MS)]);
      // It fails: the answer is of what is there.
      if (this.#running === undefined && this.#index.nextIndex === before) return;
    }
  }

  /** @throws what is no damage */
  #renew(error: unknown): void {
    if (!isDamage(error)) throw error;
    this.#options.log.warn('search index damaged: it is made again', { error: String(error) });
    this.#index.close();
    this.#index = SearchIndex.begin(this.#options.file);
    this.start();
  }
}
