import { generateKeyPairSync, sign } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasCode } from '#base/error';
import type { LedgerCheck } from '#domain/attack';
import {
  bundlePath,
  decodeBundle,
  encodeBundle,
  hashLeaf,
  openCheckpoint,
  signCheckpoint,
  TILE_WIDTH,
  TileEdge,
  tilePath,
  type Checkpoint,
  type NoteKey,
} from '#domain/merkle';
import type { Observation } from '#domain/proof';
import type { LedgerFiles } from './grounds.ts';

/** A copy of the ledger at one signed state of it. */
type Copy = {
  readonly directory: string;
  readonly statement: { readonly checkpoint: string; readonly key: NoteKey };
  readonly tree: Checkpoint;
};

/** What belongs to the running ledger alone: its lock, what is not signed yet, and what is signed while it is copied. */
const LEFT_OUT = /(^|\/)(lock|index\.db[^/]*|checkpoints\.ndjson|pending)$/;
const COPY_TRIES = 8;

/** A running ledger replaces partial tiles by fuller ones: a file that was listed may be gone when it is read. */
async function copyLedger(from: string, to: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await cp(from, to, { recursive: true, filter: path => !LEFT_OUT.test(path) });
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || tries === COPY_TRIES) throw error;
    }
  }
}

/** Damages copies of the ledger, never the ledger, and looks whether its verifier sees it. Each check is made once. */
export class LedgerChecks {
  readonly #ledger: LedgerFiles | undefined;
  readonly #made = new Map<LedgerCheck, Promise<Observation>>();

  constructor(ledger: LedgerFiles | undefined) {
    this.#ledger = ledger;
  }

  check(check: LedgerCheck): Promise<Observation> {
    let made = this.#made.get(check);
    if (made === undefined) this.#made.set(check, (made = this.#check(check)));
    return made;
  }

  async #check(check: LedgerCheck): Promise<Observation> {
    const ledger = this.#ledger;
    if (ledger === undefined) return { kind: 'not-made', why: "the ledger's files are not on this machine" };
    const directory = await mkdtemp(join(tmpdir(), 'ringwall-proof-'));
    try {
      const statement = await ledger.statement();
      const tree = openCheckpoint(statement.checkpoint, statement.key);
      if (tree.size < 2) return { kind: 'not-made', why: 'the ledger has fewer than two signed records' };
      await copyLedger(ledger.directory, directory);
      // The copy is of this signed state, also when the ledger has grown meanwhile.
      await writeFile(join(directory, 'checkpoint'), statement.checkpoint);
      await damage(check, { directory, statement, tree });
      const { kind, findings } = await ledger.verify({
        directory,
        key: statement.key,
        earlier: [statement.checkpoint],
      });
      if (check === 'intact') {
        const [first] = findings;
        if (kind !== 'damaged')
          return { kind: 'checked', detected: true, detail: `${tree.size} records are as they were signed` };
        return {
          kind: 'checked',
          detected: false,
          detail: `the ledger is damaged at entry ${first?.index ?? 0}: ${first?.message ?? ''}`,
        };
      }
      const [first] = findings;
      if (first === undefined)
        return { kind: 'checked', detected: false, detail: 'the verifier does not see it' };
      return {
        kind: 'checked',
        detected: true,
        detail: `the verifier names entry ${first.index}: ${first.reason}`,
      };
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

async function damage(check: LedgerCheck, copy: Copy): Promise<void> {
  switch (check) {
    case 'intact':
      return undefined;
    case 'byte-flipped':
      return rewrite(copy, entries => entries.map((entry, at) => (at === 0 ? flipped(entry) : entry)));
    case 'record-deleted':
      return rewrite(copy, entries => entries.slice(1));
    case 'records-swapped':
      return rewrite(copy, ([first, second, ...rest]) =>
        [second, first, ...rest].filter(entry => entry !== undefined),
      );
    case 'log-truncated':
      // With the checkpoint of the shorter tree, which only the ledger's key could sign: so by a key of our own.
      await rewrite(copy, entries => entries.slice(0, -1), -1);
      return undefined;
    case 'history-rewritten':
      await rewrite(copy, entries => entries.map((entry, at) => (at === 0 ? flipped(entry) : entry)));
      return rebuild(copy);
    case 'foreign-signature':
      return writeFile(join(copy.directory, 'checkpoint'), signWithOtherKey(copy));
  }
}

/** Changes the entries of the first bundle, or of the last (-1). */
async function rewrite(
  { directory, tree }: Copy,
  change: (entries: Buffer[]) => Buffer[],
  which: 0 | -1 = 0,
): Promise<void> {
  const index = which === 0 ? 0 : Math.floor((tree.size - 1) / TILE_WIDTH);
  const width = Math.min(TILE_WIDTH, tree.size - index * TILE_WIDTH);
  for (const path of new Set([bundlePath(index, width), bundlePath(index, TILE_WIDTH)])) {
    const file = join(directory, path);
    const bytes = await readFile(file).catch(() => undefined);
    if (bytes === undefined) continue;
    await writeFile(file, encodeBundle(change(decodeBundle(bytes, TILE_WIDTH).entries)));
  }
}

/** Computes all tiles anew over the changed entries; the signature over the root is all that is left of the truth. */
async function rebuild({ directory, tree }: Copy): Promise<void> {
  const edge = TileEdge.empty();
  const write = async (tiles: ReturnType<TileEdge['partialTiles']>) => {
    for (const { id, bytes } of tiles) await writeFile(join(directory, tilePath(id)), bytes).catch(() => {});
  };
  for (let start = 0; start < tree.size; start += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, tree.size - start);
    const index = start / TILE_WIDTH;
    const bytes = await readFile(join(directory, bundlePath(index, width))).catch(() =>
      readFile(join(directory, bundlePath(index, TILE_WIDTH))),
    );
    for (const entry of decodeBundle(bytes, width).entries) await write(edge.append(hashLeaf(entry)));
  }
  await write(edge.partialTiles());
}

function signWithOtherKey({ statement, tree }: Copy): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return signCheckpoint(tree, {
    keyName: statement.key.keyName,
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).subarray(-32),
    sign: bytes => sign(null, bytes, privateKey),
  });
}

function flipped(entry: Buffer): Buffer {
  const changed = Buffer.from(entry);
  const at = Math.floor(changed.byteLength / 2);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}
