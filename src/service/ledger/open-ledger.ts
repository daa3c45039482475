import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { formatProof, hashLeaf, noteKey, TILE_WIDTH, type NoteKey } from '#domain/merkle';
import {
  decodeEntry,
  encodeGapEntry,
  parseRecordId,
  type Gap,
  type LedgerEntry,
  type RecordOrigin,
} from '#domain/record';
import { checkBatch, entriesOf, type NewEntry } from './batch.ts';
import { EpochKeeper } from './epoch-keeper.ts';
import { termsOf } from './entry-terms.ts';
import { nodeFiles } from './files.ts';
import type { JournalBatch } from './journal.ts';
import { LedgerError } from './ledger-error.ts';
import { LineLog } from './line-log.ts';
import type { BatchOutcome, FoundEntry, Ledger, LedgerOptions, ProvenEntry } from './ledger.ts';
import { IndexKeeper } from './index-keeper.ts';
import type { IndexedEntry, LedgerQuery } from './search-index.ts';
import { Sequences } from './sequences.ts';
import { PLACES } from './tree-files.ts';
import { TreeLog } from './tree-log.ts';
import { WaitingEntries } from './waiting-entries.ts';

/**
 * Opens or begins a ledger.
 *
 * CRASH: entries are confirmed when they are in `pending/`. From there they go into the tree, in order, and leave
 * `pending/` when a signed checkpoint covers them; whatever was under way is done again at the next open. The search
 * index is behind at most, and is caught up.
 *
 * @throws {LedgerError} `in-use`, `damaged`
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { directory, log, files = nodeFiles, indexFile = join(directory, PLACES.index) } = options;
  await files.makeDirectory(directory);
  const undo = new AsyncDisposableStack();
  try {
    const lock = files.lock(join(directory, PLACES.lock));
    undo.defer(() => lock.release());
    const tree = await TreeLog.open({ ...options, files });
    const pending = await LineLog.open(
      {
        ...options,
        files,
        directory: join(directory, PLACES.pending),
        name: 'control',
        // Batches wait before the queue grows; a line dropped here would be an entry confirmed and lost.
        limits: { maxQueuedBytes: Number.POSITIVE_INFINITY },
      },
      tree.size + 1,
    );
    undo.defer(() => pending.close());
    const index = new IndexKeeper({ ...options, file: indexFile });
    undo.defer(() => index.close());
    const size = Math.max(pending.durableSeq - 1, tree.size);
    // In this order: an index that turns out to be damaged is begun anew.
    const indexed = { epochs: index.epochs(), size: Math.min(index.nextIndex, size) };
    const epochs = await EpochKeeper.open({ ...options, files, tree }, indexed);
    const ledger = new OpenLedger(options, { tree, pending, index, epochs, lock });
    await ledger.recover();
    undo.move();
    log.info('ledger open', { entries: ledger.size, signed: tree.size, indexed: ledger.indexedSize });
    return ledger;
  } finally {
    await undo.disposeAsync();
  }
}

/** With more than this on its way into the tree, the next batch waits until there is less. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
/** With this much the tree does not wait for its time. */
const SIGN_NOW_BYTES = 2 * 1024 * 1024;
const READ_AT_ONCE = 1_000;
/** A few milliseconds. */
const INDEX_AT_ONCE = 256;
/** Records of one request that are looked for. */
const MAX_HOPS = 1_000;
const SIGN_EVERY_MS = 500;
const RETRY_MS = 1_000;

type Parts = {
  readonly tree: TreeLog;
  readonly pending: LineLog;
  readonly index: IndexKeeper;
  readonly epochs: EpochKeeper;
  readonly lock: { readonly release: () => void };
};

class OpenLedger implements Ledger {
  readonly key: NoteKey;
  readonly #options: LedgerOptions;
  readonly #tree: TreeLog;
  readonly #pending: LineLog;
  readonly #index: IndexKeeper;
  readonly #lock: { readonly release: () => void };
  readonly #signEveryMs: number;
  readonly #epochs: EpochKeeper;
  readonly #sequences: Sequences;
  readonly #waiting: WaitingEntries;
  #signTimer: NodeJS.Timeout | undefined;
  #signing: Promise<void> | undefined;
  #signFailing = false;
  #closed = false;

  constructor(options: LedgerOptions, { tree, pending, index, epochs, lock }: Parts) {
    const { keyName, publicKey } = options.signer;
    this.key = noteKey(keyName, publicKey);
    this.#options = options;
    this.#tree = tree;
    this.#pending = pending;
    this.#waiting = new WaitingEntries(tree.size);
    this.#index = index;
    this.#epochs = epochs;
    this.#sequences = new Sequences(epochs.epochs);
    this.#lock = lock;
    this.#signEveryMs = options.signEveryMs ?? SIGN_EVERY_MS;
    pending.onAppended(() => this.#appended());
  }

  get checkpoint(): string {
    return this.#tree.checkpoint;
  }
  get size(): number {
    return Math.max(this.#pending.durableSeq - 1, this.#tree.size);
  }
  get indexedSize(): number {
    return this.#index.nextIndex;
  }
  get healthy(): boolean {
    return this.#pending.healthy && !this.#signFailing;
  }

  onAppended(listener: () => void): () => void {
    return this.#pending.onAppended(listener);
  }

  /** Reads what is confirmed and not signed, and learns where each point stands. */
  async recover(): Promise<void> {
    const { size: signedSize } = this.#tree;
    for (let seq = signedSize + 1; seq < this.#pending.durableSeq;) {
      const { firstSeq, payloads } = await this.#pending.read(seq, READ_AT_ONCE);
      for (; seq < firstSeq; seq += 1) this.#wait('', seq);
      for (const payload of payloads) {
        this.#wait(payload, seq);
        seq += 1;
      }
      if (payloads.length === 0)
        throw new LedgerError('damaged', 'entries that wait for the tree cannot be read');
    }
    for (const origin of this.#waiting.reached(this.#epochs.openedAt, this.size))
      this.#sequences.advance(origin);
    if (this.#index.nextIndex > this.size) await this.#recordTruncation();
    if (this.#waiting.to > this.#waiting.from) this.#signLater(0);
    this.#index.follow({ size: () => this.size, read: from => this.#readIndexed(from) });
  }

  async appendBatch(batch: JournalBatch): Promise<BatchOutcome> {
    checkBatch(batch);
    await this.#untilRoom();
    const { point, epoch, firstSeq, lines } = batch;
    const next = this.#sequences.decide(point, epoch, firstSeq);
    if (next.kind === 'out-of-sequence') return next;
    const nowMs = this.#options.clock.nowMs();
    const news = { ...batch, firstSeq: firstSeq + next.known, lines: lines.slice(next.known) };
    if (next.gap !== undefined && lines.length > 0) {
      this.#options.log.error('records are missing', {
        point,
        fromSeq: next.gap.fromSeq,
        cause: next.gap.cause,
      });
      this.#take(gapEntry({ ...next.gap, timeMs: nowMs }));
    }
    for (const entry of entriesOf(news, nowMs)) this.#take(entry);
    // Also when all was known: it may have been taken before and not have reached the disk.
    await this.#pending.flush();
    return { kind: 'stored', throughSeq: firstSeq + lines.length - 1 };
  }

  async search(query: LedgerQuery): Promise<FoundEntry[]> {
    const found: FoundEntry[] = [];
    for (const index of await this.#index.ask(known => known.search(query)))
      found.push(...(await this.#read(index, index + 1)));
    const { requestId } = query;
    if (requestId === undefined) return found;
    return found.filter(({ entry }) => entry?.kind === 'record' && entry.record.requestId === requestId);
  }

  tail({ after, limit }: { readonly after?: number; readonly limit: number }): Promise<FoundEntry[]> {
    const { size } = this;
    const from = after === undefined ? Math.max(0, size - limit) : Math.max(0, after + 1);
    return this.#read(from, Math.min(size, from + limit));
  }

  async find(id: string): Promise<FoundEntry[]> {
    if (/^(0|[1-9][0-9]{0,14})$/.test(id)) return this.#read(Number(id), Math.min(this.size, Number(id) + 1));
    const { size } = this;
    const origin = parseRecordId(id);
    const found = await (origin === undefined
      ? this.search({ requestId: id, limit: MAX_HOPS })
      : this.#findRecord(origin));
    if (found.length === 0 && this.indexedSize < size) {
      const seen = `search has looked at ${this.indexedSize} of ${size} records`;
      throw new LedgerError('not-yet', `${seen}, and the one asked for is not among them; try again later`);
    }
    const rank = ({ entry }: FoundEntry) =>
      entry?.kind === 'record' && entry.record.direction === 'edge' ? 0 : 1;
    return found.sort((a, b) => rank(a) - rank(b) || a.index - b.index);
  }

  async #findRecord(origin: RecordOrigin): Promise<FoundEntry[]> {
    const index = await this.#index.ask(known => known.findRecord(origin));
    return index === undefined ? [] : this.#read(index, index + 1);
  }

  async prove(id: string): Promise<ProvenEntry> {
    const [index, ...others] = (await this.find(id)).map(found => found.index);
    if (index === undefined) throw new LedgerError('not-found', 'the ledger has no such record');
    if (index >= this.#tree.size) await this.sign();
    if (index >= this.#tree.size) throw new LedgerError('not-yet', 'the record is not signed yet');
    const { hashes, checkpoint } = await this.#tree.proveInclusion(index);
    const [bytes] = await this.#readBytes(index, index + 1);
    if (bytes === undefined) throw new LedgerError('damaged', `entry ${index} cannot be read`);
    const proof = formatProof({ index, hashes, checkpoint, extra: bytes });
    return { index, entry: readEntry(bytes), proof, others };
  }

  async sign(): Promise<void> {
    clearTimeout(this.#signTimer);
    this.#signTimer = undefined;
    const wanted = this.size;
    while (this.#tree.size < wanted) {
      this.#signing ??= this.#signNow().finally(() => this.#signed());
      await this.#signing;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.sign().catch((error: unknown) => {
      this.#options.log.warn('ledger closed without a last checkpoint', { error: String(error) });
    });
    await this.#index.close();
    await this.#pending.close();
    this.#lock.release();
  }

  /** A point sends its next batch when this one is kept: here it is slowed down to what the disk takes. */
  async #untilRoom(): Promise<void> {
    for (;;) {
      if (this.#closed) throw new LedgerError('closed', 'the ledger is closed');
      if (!this.#pending.healthy) throw new LedgerError('write-failed', 'the ledger cannot be written');
      if (this.#waiting.bytes <= MAX_WAITING_BYTES) return;
      await this.#pending.flush();
      await this.sign();
    }
  }

  #take({ line, entry }: NewEntry): void {
    this.#waiting.push(line, entry);
    this.#sequences.follow(entry);
    this.#pending.append(line, 'relaxed');
  }

  /** An entry from `pending/`; one that is lost leaves a gap in its place, so that all others keep theirs. */
  #wait(line: string, seq: number): void {
    const entry = readEntry(line);
    if (entry !== null) return this.#waiting.push(line, entry);
    const lost = this.#damagedEntry(seq, seq);
    return this.#waiting.push(lost.line, lost.entry);
  }

  #appended(): void {
    if (this.#waiting.bytes > SIGN_NOW_BYTES) this.#signSoon();
    else this.#signLater(this.#signEveryMs);
    this.#index.start();
  }

  #signLater(ms: number): void {
    if (this.#closed || this.#signTimer !== undefined || this.#signing !== undefined) return;
    this.#signTimer = setTimeout(() => {
      this.#signTimer = undefined;
      // A failure is logged and tried again; nobody waits for this one.
      this.sign().catch(() => {});
    }, ms);
  }

  #signSoon(): void {
    if (this.#signFailing) return;
    clearTimeout(this.#signTimer);
    this.#signTimer = undefined;
    this.#signLater(0);
  }

  async #signNow(): Promise<void> {
    const { from } = this.#waiting;
    try {
      await this.#tree.grow(this.#waiting.leaves(from, this.size), this.#options.clock.nowMs());
      this.#signFailing = false;
    } catch (error) {
      if (!this.#signFailing) this.#options.log.error('ledger not signed', { error: String(error) });
      this.#signFailing = true;
      throw new LedgerError('write-failed', 'the ledger cannot be signed', { cause: error });
    }
    const reached = this.#waiting.reached(from, this.#tree.size);
    this.#waiting.dropBefore(this.#tree.size);
    this.#pending.acknowledge(this.#tree.size);
    await this.#epochs.follow(reached);
  }

  #signed(): void {
    this.#signing = undefined;
    if (this.#signFailing) this.#signLater(RETRY_MS);
    else if (this.#tree.size < this.size) this.#signLater(this.#signEveryMs);
  }

  /** Entries for the search index: those that wait are still known, those in the tree are read again. */
  async #readIndexed(from: number): Promise<IndexedEntry[]> {
    const inTree = from < this.#waiting.from;
    const to = Math.min(inTree ? this.#waiting.from : this.size, from + INDEX_AT_ONCE);
    if (!inTree) return this.#waiting.indexed(from, to);
    return (await this.#readBytes(from, to)).map((bytes, offset) => {
      const leafHash = bytes === undefined ? Buffer.alloc(0) : hashLeaf(bytes);
      return { index: from + offset, leafHash, terms: termsOf(readEntry(bytes)) };
    });
  }

  async #read(from: number, to: number): Promise<FoundEntry[]> {
    const all = await this.#readBytes(from, to);
    return all.map((bytes, offset) => ({ index: from + offset, entry: readEntry(bytes) }));
  }

  /** The bytes of entries `[from, to)`; `undefined` for those that are damaged. */
  async #readBytes(from: number, to: number): Promise<(Buffer | undefined)[]> {
    const all: (Buffer | undefined)[] = [];
    for (let index = from; index < to;) {
      // Looked at again in each round: entries may have gone into the tree meanwhile.
      const treeEnd = Math.min(to, this.#waiting.from);
      if (index >= treeEnd) {
        for (const { bytes } of this.#waiting.leaves(index, to)) all.push(bytes);
        break;
      }
      const bundle = Math.floor(index / TILE_WIDTH);
      const entries = await this.#tree.readBundle(bundle).catch(() => []);
      for (const end = Math.min(treeEnd, (bundle + 1) * TILE_WIDTH); index < end; index += 1) {
        all.push(entries[index - bundle * TILE_WIDTH]);
      }
    }
    return all;
  }

  /** The index remembers entries that the files have not: say so in the ledger, for ever. */
  async #recordTruncation(): Promise<void> {
    const { size } = this;
    this.#options.log.error('the ledger has lost entries', { from: size, to: this.#index.nextIndex - 1 });
    const lost = this.#damagedEntry(size + 1, this.#index.nextIndex);
    this.#index.truncate(size);
    this.#take(lost);
    await this.#pending.flush();
  }

  #damagedEntry(fromSeq: number, toSeq: number): NewEntry {
    this.#options.log.error('an entry of the ledger is lost', { index: fromSeq - 1 });
    const epoch = randomUUID().replaceAll('-', '');
    const timeMs = this.#options.clock.nowMs();
    return gapEntry({ point: 'control', epoch, fromSeq, toSeq, cause: 'ledger-damaged', timeMs });
  }
}

function gapEntry(gap: Gap): NewEntry {
  return { line: encodeGapEntry(gap), entry: { kind: 'gap', gap } };
}

function readEntry(bytes: Buffer | string | undefined): LedgerEntry | null {
  try {
    if (bytes === undefined) return null;
    return decodeEntry(typeof bytes === 'string' ? bytes : bytes.toString('latin1'));
  } catch {
    return null;
  }
}
