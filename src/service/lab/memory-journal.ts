import type { TransactionRecord } from '#domain/record';
import type { Recorder } from '#service/proxy';

type Pending = { readonly record: TransactionRecord; readonly done: (error: Error | undefined) => void };

/** A journal in memory that can be slow, full or sick. */
export class MemoryJournal implements Recorder {
  readonly records: TransactionRecord[] = [];
  healthy = true;
  /** `hold`: durable records wait for `release`; `fail`: their disk is full. */
  mode: 'write' | 'hold' | 'fail' = 'write';
  #held: Pending[] = [];
  #watchers: (() => void)[] = [];

  append(
    record: TransactionRecord,
    mode: 'durable' | 'relaxed',
    done?: (error: Error | undefined) => void,
  ): void {
    if (mode === 'durable' && this.mode === 'fail') {
      setImmediate(() => done?.(new Error('no space left')));
      return;
    }
    if (mode === 'durable' && this.mode === 'hold') {
      this.#held.push({ record, done: done ?? (() => {}) });
      this.#wake();
      return;
    }
    this.records.push(record);
    if (done !== undefined) setImmediate(() => done(undefined));
    this.#wake();
  }

  get held(): number {
    return this.#held.length;
  }

  release(): void {
    for (const { record, done } of this.#held.splice(0)) {
      this.records.push(record);
      done(undefined);
    }
    this.#wake();
  }

  /** Waits until a record fits. */
  async find(fits: (record: TransactionRecord) => boolean, timeoutMs = 2_000): Promise<TransactionRecord> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const found = this.records.find(fits);
      if (found !== undefined) return found;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0)
        throw new Error(
          `no such record among ${JSON.stringify(this.records.map(r => [r.direction, r.status, r.reason, r.detail]))}`,
        );
      await new Promise<void>(resolve => {
        this.#watchers.push(resolve);
        setTimeout(resolve, leftMs).unref();
      });
    }
  }

  /** Waits until durable records are held back. */
  async untilHeld(count: number): Promise<void> {
    while (this.#held.length < count) await new Promise<void>(resolve => this.#watchers.push(resolve));
  }

  #wake(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
