import { eachEntry, TILE_WIDTH } from '#domain/merkle';
import { decodeEntry } from '#domain/record';
import { OriginReader } from './origin-reader.ts';
import { readAhead } from './read-ahead.ts';
import type { Sequences } from './sequences.ts';
import type { TreeLog } from './tree-log.ts';

/** Learns from the tree's entries from index `from` on how far each point has come. What cannot be read says nothing. */
export async function followTree(sequences: Sequences, tree: TreeLog, from: number): Promise<void> {
  const origins = new OriginReader();
  const read = (bundle: number) => tree.readStored(bundle).catch(() => undefined);
  const [first, end] = [Math.floor(from / TILE_WIDTH), Math.ceil(tree.size / TILE_WIDTH)];
  for await (const [bundle, stored] of readAhead(first, end, read)) {
    if (stored === undefined) continue;
    const { bytes, width } = stored;
    let index = bundle * TILE_WIDTH;
    eachEntry(bytes, width, (start, stop) => {
      index += 1;
      if (index <= from) return;
      const origin = origins.read(bytes, start, stop);
      if (origin === undefined) followOther(sequences, bytes.toString('latin1', start, stop));
      else sequences.advance(origin);
    });
  }
}

/** A gap, or what is no entry at all. */
function followOther(sequences: Sequences, line: string): void {
  try {
    sequences.follow(decodeEntry(line));
  } catch {
    // The verifier names it.
  }
}
