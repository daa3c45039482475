const BYTES = 20_480;
const PROBES = 7;
const HALF_KEY = 2 ** 24;

/**
 * Which requests a block of entries may have, by their keys (a Bloom filter). Its no is certain; its yes is wrong once
 * in a hundred times for a block of 16,384. Written once and in order, where a B-tree over keys in no order would
 * write a page for nearly every entry.
 */
export class RequestFilter {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array = new Uint8Array(BYTES)) {
    this.bytes = bytes;
  }

  /** @param key 48 bits that nobody can foresee */
  add(key: number): void {
    for (let probe = 0; probe < PROBES; probe += 1) {
      const bit = bitOf(key, probe);
      this.bytes[bit >> 3] = (this.bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
  }

  mayHave(key: number): boolean {
    for (let probe = 0; probe < PROBES; probe += 1) {
      const bit = bitOf(key, probe);
      if (((this.bytes[bit >> 3] ?? 0) & (1 << (bit & 7))) === 0) return false;
    }
    return true;
  }
}

/** Two independent halves of the key give all places (Kirsch and Mitzenmacher). */
function bitOf(key: number, probe: number): number {
  return ((key % HALF_KEY) + probe * (Math.floor(key / HALF_KEY) | 1)) % (BYTES * 8);
}
