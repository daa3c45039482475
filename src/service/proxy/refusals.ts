import type { TransactionRecord } from '#domain/record';
import type { Deadlines, Timed } from './deadlines.ts';
import type { Recorder } from './recorder.ts';

const WINDOW_MS = 1_000;
/** Beyond so many, the addresses of one listener, caller and reason share a window. */
const MAX_WINDOWS = 256;

/** A second of refusals that are alike; the first of them is recorded when it begins. */
type Window = {
  readonly endMs: number;
  readonly whose: 'one address' | 'many addresses';
  others: number;
  last: TransactionRecord | undefined;
};

/**
 * Records connections that were refused, bounded in their rate: strangers do not fill the disk.
 *
 * UNTRUSTED: who is refused costs the caller nothing. Of refusals that are alike (listener, address, caller, callee,
 * reason) one a second is recorded, and the next record says how many it stands for: none is lost without a trace.
 */
export class Refusals implements Timed {
  deadlineMs = Infinity;
  readonly #recorder: Recorder;
  readonly #deadlines: Deadlines;
  /** In the order of their ends. */
  readonly #windows = new Map<string, Window>();

  constructor(recorder: Recorder, deadlines: Deadlines) {
    this.#recorder = recorder;
    this.#deadlines = deadlines;
    deadlines.add(this);
  }

  /** @param listener tells apart listeners of one direction */
  add(record: TransactionRecord, listener: string): void {
    const { direction, caller, callee, reason, client } = record;
    const shared = [listener, direction, caller, callee, reason].join('\n');
    const own = `${shared}\n${client.address}`;
    const isCrowded = this.#windows.size >= MAX_WINDOWS && !this.#windows.has(own);
    const key = isCrowded ? shared : own;
    const window = this.#windows.get(key);
    if (window === undefined) {
      this.#open(key, isCrowded ? 'many addresses' : 'one address');
      this.#recorder.append(record, 'relaxed');
    } else {
      window.others++;
      window.last = record;
    }
  }

  expired(): void {
    for (const [key, window] of this.#windows) {
      if (window.endMs > this.#deadlines.nowMs) break;
      this.#windows.delete(key);
      if (this.#recordOthers(window)) this.#open(key, window.whose);
    }
    this.#nextDeadline();
  }

  /** Records what is still to be told of. */
  close(): void {
    for (const window of this.#windows.values()) this.#recordOthers(window);
    this.#windows.clear();
    this.#deadlines.remove(this);
  }

  #open(key: string, whose: Window['whose']): void {
    this.#windows.set(key, { endMs: this.#deadlines.nowMs + WINDOW_MS, whose, others: 0, last: undefined });
    this.#nextDeadline();
  }

  #recordOthers({ last, others, whose }: Window): boolean {
    if (last === undefined) return false;
    const more = `and ${others - 1} more within the second${whose === 'one address' ? '' : ', from many addresses'}`;
    const detail = others === 1 ? last.detail : last.detail === '' ? more : `${last.detail}, ${more}`;
    this.#recorder.append({ ...last, detail }, 'relaxed');
    return true;
  }

  #nextDeadline(): void {
    this.deadlineMs = this.#windows.values().next().value?.endMs ?? Infinity;
  }
}
