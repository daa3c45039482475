import { EMPTY_ROOT, hashNode } from './hash.ts';

/**
 * The right edge of a growing tree: the roots of the perfect subtrees of which it consists, largest first. All that is
 * needed to append and to know the root; at most one hash for each bit of the size.
 */
export class RightEdge {
  #size: number;
  readonly #hashes: Uint8Array[];

  /** @param hashes one for each bit that is set in `size`, from the highest on */
  constructor(size = 0, hashes: readonly Uint8Array[] = []) {
    if (hashes.length !== countBits(size))
      throw new RangeError('one hash for each perfect subtree is needed');
    this.#size = size;
    this.#hashes = [...hashes];
  }

  get size(): number {
    return this.#size;
  }

  /** The perfect subtrees' roots, largest first. */
  get hashes(): readonly Uint8Array[] {
    return this.#hashes;
  }

  append(leafHash: Uint8Array): void {
    let hash = leafHash;
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      const left = this.#hashes.pop();
      if (left === undefined) throw new RangeError('edge is shorter than its size says');
      hash = hashNode(left, hash);
    }
    this.#hashes.push(hash);
    this.#size += 1;
  }

  root(): Uint8Array {
    return foldEdge(this.#hashes);
  }

  copy(): RightEdge {
    return new RightEdge(this.#size, this.#hashes);
  }
}

/** The root of the tree that consists of these perfect subtrees, largest first. */
export function foldEdge(hashes: readonly Uint8Array[]): Uint8Array {
  return hashes.length === 0 ? EMPTY_ROOT : hashes.reduceRight((right, left) => hashNode(left, right));
}

/** The root of a perfect or imperfect tree over `leafHashes`. */
export function rootOf(leafHashes: readonly Uint8Array[]): Uint8Array {
  const edge = new RightEdge();
  for (const leafHash of leafHashes) edge.append(leafHash);
  return edge.root();
}

/** Perfect subtrees of a tree of `size`, largest first: `[start, start + 2 ** height)`. */
export function perfectSubtrees(size: number): { start: number; height: number }[] {
  const subtrees: { start: number; height: number }[] = [];
  let start = 0;
  // Not with bit operators: sizes go beyond 32 bits.
  for (let height = 52; height >= 0; height -= 1) {
    if (size - start < 2 ** height) continue;
    subtrees.push({ start, height });
    start += 2 ** height;
  }
  return subtrees;
}

function countBits(size: number): number {
  return perfectSubtrees(size).length;
}
