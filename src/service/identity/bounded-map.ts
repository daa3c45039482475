import { encodeBase64Url, sha256 } from '#base/bytes';

const MAX_PROBES = 8;
const MAX_KEY_CHARS = 256;

type Slot<V> = { value: V; used: boolean };

/**
 * A map that never holds more than `maxKeys` entries, for state that strangers can make us keep. Every operation takes
 * constant time; there are no timers.
 *
 * Each insertion moves a hand over a few entries (the CLOCK algorithm) and drops those that are spent. When the map is
 * full of entries that still say something, the first one goes that was not used since the hand last came by: a flood
 * of new keys pushes out idle ones first, and whoever keeps sending keeps his entry.
 */
export class BoundedMap<V> {
  readonly #slots = new Map<string, Slot<V>>();
  readonly #maxKeys: number;
  readonly #isSpent: (value: V, nowMs: number) => boolean;
  // A live iterator: it neither starts over nor trips when entries before it are deleted, as a new one would.
  #hand: Iterator<[string, Slot<V>]>;

  /** @param options.isSpent whether forgetting the entry changes nothing */
  constructor(options: { readonly maxKeys: number; readonly isSpent: (value: V, nowMs: number) => boolean }) {
    this.#maxKeys = options.maxKeys;
    this.#isSpent = options.isSpent;
    this.#hand = this.#slots.entries();
  }

  get size(): number {
    return this.#slots.size;
  }

  /** The entry of `key`, which is kept longer for being used. */
  use(key: string): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    slot.used = true;
    return slot.value;
  }

  set(key: string, value: V, nowMs: number): void {
    const slot = this.#slots.get(key);
    if (slot !== undefined) {
      slot.value = value;
      return;
    }
    this.#makeRoom(nowMs);
    this.#slots.set(key, { value, used: false });
  }

  delete(key: string): void {
    this.#slots.delete(key);
  }

  clear(): void {
    this.#slots.clear();
    this.#hand = this.#slots.entries();
  }

  #makeRoom(nowMs: number): void {
    let lastKey: string | undefined;
    for (let probes = 0; probes < MAX_PROBES; probes++) {
      const entry = this.#next();
      if (entry === undefined) return;
      const [key, slot] = entry;
      if (this.#isSpent(slot.value, nowMs)) {
        this.#slots.delete(key);
        continue;
      }
      if (this.#slots.size < this.#maxKeys) return;
      lastKey = key;
      if (!slot.used) break;
      slot.used = false;
    }
    // INVARIANT: a full map saw at least one entry that is not spent, and the last of them goes.
    if (lastKey !== undefined && this.#slots.size >= this.#maxKeys) this.#slots.delete(lastKey);
  }

  #next(): [string, Slot<V>] | undefined {
    const step = this.#hand.next();
    if (step.done !== true) return step.value;
    this.#hand = this.#slots.entries();
    const first = this.#hand.next();
    return first.done === true ? undefined : first.value;
  }
}

/** Keys longer than 256 characters are replaced by their digest: strangers choose parts of them. */
export function boundKey(key: string): string {
  return key.length <= MAX_KEY_CHARS ? key : encodeBase64Url(sha256(key));
}
