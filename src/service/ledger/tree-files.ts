import { dirname, join } from 'node:path';
import { hasCode } from '#base/error';
import { bundlePath, decodeBundle, HASH_BYTES, TILE_WIDTH, tilePath, type TileId } from '#domain/merkle';
import { writeFile, writeFully, type Files } from './files.ts';

const MAX_PARALLEL_WRITES = 8;

/** Where the parts of a ledger are, under its directory. */
export const PLACES = {
  checkpoint: 'checkpoint',
  /** Earlier signed checkpoints, a JSON line each. */
  history: 'checkpoints.ndjson',
  pending: 'pending',
  index: 'index.db',
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
  const [part, whole] = [bundlePath(index, width), bundlePath(index, TILE_WIDTH)];
  const { bytes, from } = await readPartOrWhole(files, directory, part, whole);
  const { entries, restBytes } = decodeBundle(bytes, width);
  // A whole bundle in place of a part of it has more entries, rightly.
  return { entries, restBytes: from === part || entries.length < width ? restBytes : 0 };
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

/** A file of the tree and its bytes; `path` is relative to the ledger's directory. */
export type TreeFile = { readonly path: string; readonly bytes: Uint8Array };

/**
 * Puts files and their names on the disk, in any order.
 *
 * CRASH: any of them may be missing or torn afterwards. Nothing reads them before a checkpoint needs them, and they are
 * written again before there is one.
 */
export async function writeTreeFiles(
  files: Files,
  directory: string,
  all: readonly TreeFile[],
): Promise<void> {
  const directories = new Set<string>();
  for (const { path } of all) {
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent)) directories.add(parent);
  }
  const ordered = [...directories].sort();
  if (ordered.length > 0)
    await eachInParallel(leavesOf(ordered), path => files.makeDirectory(join(directory, path)));
  await eachInParallel(all, ({ path, bytes }) => writeFile(files, join(directory, path), bytes));
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
