import { dirname, join } from 'node:path';
import { hasCode } from '#base/error';
import {
  bundlePath,
  decodeBundle,
  encodeBundle,
  HASH_BYTES,
  TILE_WIDTH,
  tilePath,
  type TileId,
} from '#domain/merkle';
import { writeFile, writeFully, type Files } from './files.ts';

const MAX_PARALLEL_WRITES = 8;
/** The next bundle may be a little longer. */
const SPARE_BYTES = 32 * 1024;
const MAX_SPARE_BYTES = 1024 * 1024;

/** Where the parts of a ledger are, under its directory. */
export const PLACES = {
  checkpoint: 'checkpoint',
  /** Earlier signed checkpoints, a JSON line each. */
  history: 'checkpoints.ndjson',
  pending: 'pending',
  index: 'index.db',
  /** How far the points have come. */
  epochs: 'epochs.json',
  lock: 'lock',
} as const;

/** Reads a tile; a partial one that is gone is read from the full one (C2SP tlog-tiles, partial tiles). */
export async function readTile(files: Files, directory: string, tile: TileId): Promise<Buffer> {
  const part = tilePath(tile);
  const { bytes, from } = await readPartOrWhole(
    files,
    directory,
    part,
    tilePath({ ...tile, width: TILE_WIDTH }),
  );
  return from === part ? bytes : bytes.subarray(0, tile.width * HASH_BYTES);
}

/** The entries of a bundle as far as they can be read, and the bytes that should not be there. */
export async function readBundle(
  files: Files,
  directory: string,
  index: number,
  width: number,
): Promise<{ entries: Buffer[]; restBytes: number }> {
  const { bytes, from } = await readBundleBytes(files, directory, index, width);
  const { entries, restBytes } = decodeBundle(bytes, width);
  // A whole bundle in place of a part of it has more entries, rightly.
  const isPart = from === bundlePath(index, width);
  return { entries, restBytes: isPart || entries.length < width ? restBytes : 0 };
}

/** A bundle of at least `width` entries as it is stored, and from which path. */
export function readBundleBytes(
  files: Files,
  directory: string,
  index: number,
  width: number,
): Promise<{ bytes: Buffer; from: string }> {
  return readPartOrWhole(files, directory, bundlePath(index, width), bundlePath(index, TILE_WIDTH));
}

async function readPartOrWhole(
  files: Files,
  directory: string,
  part: string,
  whole: string,
): Promise<{ bytes: Buffer; from: string }> {
  try {
    return { bytes: await files.readAll(join(directory, part)), from: part };
  } catch (error) {
    if (part === whole || !hasCode(error, 'ENOENT')) throw error;
    return { bytes: await files.readAll(join(directory, whole)), from: whole };
  }
}

/** A file of the tree; `path` is relative to the ledger's directory. */
export type TreeFile =
  | { readonly path: string; readonly bytes: Uint8Array }
  | { readonly path: string; readonly entries: readonly Uint8Array[] };

/**
 * Puts files and their names on the disk, in any order.
 *
 * CRASH: any of them may be missing or torn afterwards. Nothing reads them before a checkpoint needs them, and they are
 * written again before there is one.
 *
 * @param spare buffers for bundles, used again: one for each would be megabytes of garbage in each second
 */
export async function writeTreeFiles(
  files: Files,
  directory: string,
  all: readonly TreeFile[],
  spare: Buffer[],
): Promise<void> {
  const directories = new Set<string>();
  for (const { path } of all) {
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent)) directories.add(parent);
  }
  const ordered = [...directories].sort();
  if (ordered.length > 0)
    await eachInParallel(leavesOf(ordered), path => files.makeDirectory(join(directory, path)));
  await eachInParallel(all, async file => {
    if ('bytes' in file) return writeFile(files, join(directory, file.path), file.bytes);
    let buffer = spare.pop() ?? Buffer.alloc(0);
    const bytes = encodeBundle(file.entries, wanted => {
      if (buffer.byteLength < wanted) buffer = Buffer.allocUnsafeSlow(wanted + SPARE_BYTES);
      return buffer;
    });
    await writeFile(files, join(directory, file.path), bytes);
    if (buffer.byteLength <= MAX_SPARE_BYTES) spare.push(buffer);
  });
  await eachInParallel(['.', ...ordered], path => files.syncDirectory(join(directory, path)));
}

/** Replaces a file in one step. CRASH: afterwards there is the old one or the new one. */
export async function replaceFile(
  files: Files,
  directory: string,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = join(directory, `${name}.new`);
  await writeFile(files, temporary, bytes);
  await files.rename(temporary, join(directory, name));
  await files.syncDirectory(directory);
}

/** Adds a line to the end of a file. CRASH: the line may be torn; the next one begins anew. */
export async function appendLine(files: Files, directory: string, name: string, line: string): Promise<void> {
  const path = join(directory, name);
  const file = await files.open(path, 'change').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return files.open(path, 'create');
    throw error;
  });
  try {
    const size = await file.size();
    const last = Buffer.of(10);
    if (size > 0) await file.read(last, size - 1);
    await writeFully(file, Buffer.from(last[0] === 10 ? `${line}\n` : `\n${line}\n`), size);
    await file.sync();
  } finally {
    await file.close();
  }
}

export async function readIfThere(files: Files, path: string): Promise<Buffer | undefined> {
  try {
    return await files.readAll(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function leavesOf(sorted: readonly string[]): string[] {
  return sorted.filter((path, at) => !sorted[at + 1]?.startsWith(`${path}/`));
}

async function eachInParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const worker = async () => {
    for (const item of waiting) await work(item);
  };
  const results = await Promise.allSettled(
    Array.from({ length: Math.min(MAX_PARALLEL_WRITES, items.length) }, worker),
  );
  const failed = results.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}
