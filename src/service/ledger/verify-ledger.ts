import { join } from 'node:path';
import { encodeBase64, equalBytes } from '#base/bytes';
import { quote } from '#base/error';
import {
  HASH_BYTES,
  hashLeaf,
  MerkleError,
  openCheckpoint,
  TILE_WIDTH,
  TileEdge,
  tilePath,
  type Checkpoint,
  type NoteKey,
  type Tile,
} from '#domain/merkle';
import { decodeEntry, type Gap } from '#domain/record';
import { nodeFiles, type Files } from './files.ts';
import { LeafHints } from './leaf-hints.ts';
import { LedgerError } from './ledger-error.ts';
import type { Finding, FindingReason, LedgerReport } from './ledger-report.ts';
import { OriginReader } from './origin-reader.ts';
import { findTail, listSegments, readSegment, type Segment } from './segment.ts';
import { readAhead } from './read-ahead.ts';
import { SequenceAudit } from './sequence-audit.ts';
import { PLACES, readBundle, readIfThere, readTile } from './tree-files.ts';

export type VerifyOptions = {
  readonly directory: string;
  /** The public key of the ledger. It must come from somewhere else than the directory that is verified. */
  readonly key: NoteKey;
  /** Signed checkpoints that were kept elsewhere: the ledger must begin with their trees. */
  readonly earlier?: readonly string[];
  readonly files?: Files;
};

const MAX_FINDINGS = 100;
const MAX_GAPS = 1_000;
const MAX_HISTORY_BYTES = 1024 * 1024 * 1024;

/**
 * Audits a ledger from its files and the public key alone: every entry is hashed again, and the tree over them must be
 * the signed one, now and at each earlier checkpoint. May run while control writes.
 *
 * UNTRUSTED: every file. What the search index remembers is used to name a record, never to acquit one.
 *
 * @throws {LedgerError} `not-found` when there is no ledger
 * @throws {MerkleError} when an earlier checkpoint that was given is not one of this key
 */
export async function verifyLedger({
  directory,
  key,
  earlier = [],
  files = nodeFiles,
}: VerifyOptions): Promise<LedgerReport> {
  if ((await files.list(directory)).length === 0)
    throw new LedgerError('not-found', `no ledger in ${quote(directory)}`);
  const given = earlier.map(note => openCheckpoint(note, key));
  const hints = LeafHints.open(join(directory, PLACES.index));
  try {
    return await new Audit(directory, key, files, hints).run(given);
  } finally {
    hints?.close();
  }
}

/** A signed statement: the tree of `size` had this root. */
type Anchor = Checkpoint & { readonly newest: boolean };

type StoredBundle = {
  readonly entries: Buffer[];
  readonly restBytes: number;
  readonly tile: Buffer | undefined;
  readonly width: number;
};

class Audit {
  readonly #directory: string;
  readonly #key: NoteKey;
  readonly #files: Files;
  readonly #hints: LeafHints | undefined;
  readonly #findings: Finding[] = [];
  readonly #gaps: { index: number; gap: Gap }[] = [];
  readonly #sequences = new SequenceAudit();
  readonly #origins = new OriginReader();
  #gapCount = 0;
  #tree: TileEdge = TileEdge.empty();
  /** The first entry that is gone, after which no root can be computed. */
  #missingIndex: number | undefined;
  /** The first entry that differs from its hash in the lowest tile. */
  #differentIndex: number | undefined;
  /** Whether the entries make the tree of the newest checkpoint. */
  #newestGood = false;
  #size = 0;
  #differentTile: { id: Tile['id']; index: number } | undefined;

  constructor(directory: string, key: NoteKey, files: Files, hints: LeafHints | undefined) {
    this.#directory = directory;
    this.#key = key;
    this.#files = files;
    this.#hints = hints;
  }

  async run(given: readonly Checkpoint[]): Promise<LedgerReport> {
    // In this order: while control writes, what is read later can only be longer.
    const indexedSize = this.#hints?.size ?? 0;
    const history = await this.#readHistory();
    const newest = await this.#readCheckpoint();
    if (newest === undefined)
      return this.#report({ origin: this.#key.keyName, size: 0, root: new Uint8Array() }, 0, 0);
    this.#size = newest.size;
    const anchors = [...history, ...given].map(anchor => ({ ...anchor, newest: false }));
    const ordered = [...anchors, { ...newest, newest: true }].sort((a, b) => a.size - b.size);

    const { goodSize, bad } = await this.#walk(newest.size, ordered);
    const pending = await this.#checkPending(newest.size);
    this.#checkLength(newest.size, ordered);
    if (bad !== undefined || this.#missingIndex !== undefined) await this.#blame(goodSize, bad);
    else this.#blameTile();
    const size = newest.size + pending;
    if (indexedSize > size && indexedSize > (await this.#sizeNow())) {
      this.#find('rolled-back', size, `the search index remembers ${indexedSize} entries`, indexedSize - 1);
    }
    return this.#report(newest, pending, ordered.length);
  }

  /** Reads everything once, in order, and compares the tree with each signed statement on the way. */
  async #walk(
    size: number,
    anchors: readonly Anchor[],
  ): Promise<{ goodSize: number; bad: Anchor | undefined }> {
    let goodSize = 0;
    let bad: Anchor | undefined;
    const waiting = anchors.filter(anchor => anchor.size <= size).values();
    let anchor = waiting.next();
    const compare = () => {
      for (; !anchor.done && anchor.value.size === this.#tree.size; anchor = waiting.next()) {
        const good = equalBytes(this.#tree.root(), anchor.value.root);
        if (anchor.value.newest) this.#newestGood = good;
        if (!good) bad ??= anchor.value;
        else if (bad === undefined) goodSize = anchor.value.size;
      }
    };
    compare();
    const read = (bundle: number) =>
      this.#readBundle(bundle, Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH));
    for await (const [bundle, stored] of readAhead(0, Math.ceil(size / TILE_WIDTH), read)) {
      const leaves = this.#readLeaves(bundle * TILE_WIDTH, stored);
      if (this.#missingIndex !== undefined) break;
      for (const leaf of leaves) {
        for (const tile of this.#tree.append(leaf)) await this.#compareTile(tile);
        compare();
      }
    }
    if (this.#missingIndex === undefined)
      for (const tile of this.#tree.partialTiles()) await this.#compareTile(tile);
    return { goodSize, bad };
  }

  async #readBundle(bundle: number, width: number): Promise<StoredBundle> {
    const { entries, restBytes } = await readBundle(this.#files, this.#directory, bundle, width).catch(
      () => ({
        entries: [],
        restBytes: 0,
      }),
    );
    const tile = await this.#storedTile({ level: 0, index: bundle, width });
    return { entries, restBytes, tile, width };
  }

  /** The leaf hashes of a bundle, up to the first entry that is gone. */
  #readLeaves(start: number, { entries, restBytes, tile, width }: StoredBundle): Uint8Array[] {
    const leaves = entries.map(hashLeaf);
    for (const [at, leaf] of leaves.entries()) {
      const stored = tile?.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
      if (stored !== undefined && !equalBytes(leaf, stored)) this.#differentIndex ??= start + at;
    }
    if (entries.length < width) this.#missingIndex ??= start + entries.length;
    else if (restBytes > 0)
      this.#find('extra-bytes', start + width - 1, `${restBytes} bytes stand behind the entry`);
    if (this.#differentIndex === undefined)
      for (const [at, entry] of entries.entries()) this.#checkEntry(start + at, entry);
    return leaves;
  }

  #checkEntry(index: number, bytes: Buffer): void {
    const entry = this.#origins.read(bytes) ?? readGap(bytes);
    if (entry === undefined) return this.#find('entry-malformed', index, 'the entry is not one of a ledger');
    const wrong = this.#sequences.check(entry);
    if (wrong !== undefined) this.#find('sequence-broken', index, wrong);
    if ('seq' in entry) return undefined;
    this.#gapCount += 1;
    if (this.#gaps.length < MAX_GAPS) this.#gaps.push({ index, gap: entry });
    return undefined;
  }

  async #compareTile({ id, bytes }: Tile): Promise<void> {
    if (this.#differentTile !== undefined) return;
    const stored = await this.#storedTile(id);
    if (stored !== undefined && equalBytes(stored, bytes)) return;
    const at = stored === undefined ? 0 : firstDifference(stored, bytes) / HASH_BYTES;
    this.#differentTile = { id, index: Math.floor(id.index * TILE_WIDTH + at) * TILE_WIDTH ** id.level };
  }

  /** A signed statement does not fit: finds the first entry that is to blame, as exactly as the files allow. */
  async #blame(goodSize: number, bad: Anchor | undefined): Promise<void> {
    const end = bad?.size ?? (this.#missingIndex ?? goodSize) + 1;
    // Where the index remembers another leaf, the entry has changed; a lowest tile may itself be what has changed.
    const changedIndex = (await this.#hintedIndex(goodSize, end)) ?? this.#differentIndex;
    const exact = [this.#missingIndex, changedIndex, ...this.#findings.map(({ index }) => index)]
      .filter(index => index !== undefined)
      // What a good checkpoint covers is not to blame: there a tile is wrong, or the index.
      .filter(index => index >= goodSize && index < end);
    const index = exact.length === 0 ? undefined : Math.min(...exact);
    if (index !== undefined && index === this.#missingIndex) {
      return this.#find('entry-missing', index, 'the entry is gone, or cannot be read');
    }
    const reason = this.#newestGood ? 'history-rewritten' : 'entry-changed';
    const statement = this.#newestGood ? `an earlier checkpoint, of ${end} entries,` : 'the checkpoint';
    const message = `what stands here is not what ${statement} has signed`;
    if (index !== undefined) return this.#find(reason, index, message);
    const from = Math.max(goodSize, this.#differentTile?.index ?? 0);
    return this.#find(reason, from, message, end - 1);
  }

  async #hintedIndex(from: number, to: number): Promise<number | undefined> {
    if (this.#hints === undefined) return undefined;
    for (let start = from - (from % TILE_WIDTH); start < to; start += TILE_WIDTH) {
      const width = Math.min(TILE_WIDTH, this.#size - start);
      const bundle = await readBundle(this.#files, this.#directory, start / TILE_WIDTH, width).catch(
        () => undefined,
      );
      if (bundle === undefined) return start;
      const different = this.#hints.firstDifference(start, bundle.entries.slice(0, to - start).map(hashLeaf));
      if (different !== undefined) return different;
    }
    return undefined;
  }

  #blameTile(): void {
    if (this.#differentTile === undefined) return;
    const { id, index } = this.#differentTile;
    this.#find(
      'tile-changed',
      index,
      `all entries are as signed, ${tilePath(id)} is not: no proof can be made from it`,
    );
  }

  #checkLength(size: number, anchors: readonly Anchor[]): void {
    const longest = anchors.at(-1);
    if (longest === undefined || longest.size <= size) return;
    this.#find(
      'rolled-back',
      size,
      `a signed checkpoint covers ${longest.size} entries, the ledger has ${size}`,
      longest.size - 1,
    );
  }

  async #readCheckpoint(): Promise<Checkpoint | undefined> {
    const note = await readIfThere(this.#files, join(this.#directory, PLACES.checkpoint));
    if (note === undefined) {
      this.#find('checkpoint-missing', 0, 'the ledger has no checkpoint');
      return undefined;
    }
    try {
      return openCheckpoint(note.toString(), this.#key);
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      this.#find('checkpoint-invalid', 0, error.message);
      return undefined;
    }
  }

  /** The ledger's own earlier checkpoints. Lines that this key has not signed say nothing. */
  async #readHistory(): Promise<Checkpoint[]> {
    const bytes = await readIfThere(this.#files, join(this.#directory, PLACES.history));
    const lines =
      bytes === undefined || bytes.byteLength > MAX_HISTORY_BYTES ? [] : bytes.toString().split('\n');
    return lines.flatMap(line => {
      try {
        return line === '' ? [] : [openCheckpoint(String(JSON.parse(line)), this.#key)];
      } catch {
        return [];
      }
    });
  }

  /** Confirmed entries beyond the checkpoint: they have checksums and no signature. */
  async #checkPending(size: number): Promise<number> {
    const segments = await listSegments(this.#files, join(this.#directory, PLACES.pending));
    let next = size + 1;
    for (const [at, segment] of segments.entries()) {
      const toSeq = segments[at + 1]?.firstSeq ?? (await this.#lastSeq(segment)) + 1;
      while (next < toSeq) {
        const bounds = { maxRecords: 1_000, maxChars: 1e6 };
        const read = await readSegment(
          this.#files,
          'control',
          segment,
          { fromSeq: next, toSeq },
          bounds,
        ).catch(() => undefined);
        const lostAt = read === undefined ? 0 : read.payloads.indexOf('');
        if (lostAt >= 0) {
          // Control may have signed it meanwhile, and removed the file.
          const signed = await this.#signedNow();
          if (next + lostAt > signed) {
            this.#find(
              'pending-damaged',
              next + lostAt - 1,
              'the entry was confirmed, is not signed yet and cannot be read',
            );
            return toSeq - 1 - size;
          }
          next = Math.max(next + lostAt, Math.min(signed, toSeq - 1)) + 1;
        } else {
          next += read?.payloads.length ?? 0;
        }
      }
    }
    return next - 1 - size;
  }

  async #sizeNow(): Promise<number> {
    const last = (await listSegments(this.#files, join(this.#directory, PLACES.pending))).at(-1);
    const pending = last === undefined ? 0 : await this.#lastSeq(last);
    return Math.max(await this.#signedNow(), pending);
  }

  async #signedNow(): Promise<number> {
    const note = await readIfThere(this.#files, join(this.#directory, PLACES.checkpoint));
    return note === undefined ? 0 : openCheckpoint(note.toString(), this.#key).size;
  }

  async #lastSeq(segment: Segment): Promise<number> {
    return (await findTail(this.#files, 'control', segment).catch(() => undefined))?.seq ?? 0;
  }

  async #storedTile(id: Tile['id']): Promise<Buffer | undefined> {
    const bytes = await readTile(this.#files, this.#directory, id).catch(() => undefined);
    return bytes?.byteLength === id.width * HASH_BYTES ? bytes : undefined;
  }

  #find(reason: FindingReason, index: number, message: string, lastIndex?: number): void {
    if (this.#findings.length >= MAX_FINDINGS) return;
    const record = this.#hints?.recordAt(index);
    const range = lastIndex === undefined || lastIndex <= index ? {} : { lastIndex };
    this.#findings.push({ reason, index, ...range, ...(record !== undefined && { record }), message });
  }

  #report({ origin, size, root }: Checkpoint, pending: number, checkpoints: number): LedgerReport {
    const findings = this.#findings.sort((a, b) => a.index - b.index);
    const kind = findings.length > 0 ? 'damaged' : this.#gapCount > 0 ? 'gaps' : 'intact';
    const gaps = { gapCount: this.#gapCount, gaps: this.#gaps };
    return { kind, origin, size, root: encodeBase64(root), pending, checkpoints, findings, ...gaps };
  }
}

function readGap(bytes: Buffer): Gap | undefined {
  try {
    const entry = decodeEntry(bytes.toString('latin1'));
    return entry.kind === 'gap' ? entry.gap : undefined;
  } catch {
    return undefined;
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  return a.findIndex((byte, at) => byte !== b[at]);
}
