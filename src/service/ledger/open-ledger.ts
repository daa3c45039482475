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
import { checkBatch, entriesOf, peekOrigin, type NewEntry } from './batch.ts';
import { nodeFiles } from './files.ts';
import type { JournalBatch } from './journal.ts';
import { LedgerError } from './ledger-error.ts';
import { LineLog } from './line-log.ts';
import type { BatchOutcome, FoundEntry, Ledger, LedgerOptions, ProvenEntry } from './ledger.ts';
import { SearchIndex, type IndexedEntry, type LedgerQuery } from './search-index.ts';
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
        // Batches are refused before the queue grows; a line dropped here would be an entry confirmed and lost.
        limits: { maxQueuedBytes: Number.POSITIVE_INFINITY },
      },
      tree.size + 1,
    );
    undo.defer(() => pending.close());
    const index = SearchIndex.open(indexFile);
    undo.defer(() => index.close());
    const ledger = new OpenLedger({ ...options, files }, { tree, pending, index, lock });
    await ledger.recover();
    undo.move();
    log.info('ledger open', { entries: ledger.size, signed: tree.size, indexed: index.nextIndex });
    return ledger;
  } finally {
    await undo.disposeAsync();
  }
}

const MAX_WAITING_BYTES = 128 * 1024 * 1024;
const READ_AT_ONCE = 1_000;
const INDEX_AT_ONCE = 500;
const INDEX_WAIT_MS = 2_000;
/** Records of one request that are looked for. */
const MAX_HOPS = 1_000;
const SIGN_EVERY_MS = 500;
const RETRY_MS = 1_000;

type Parts = {
  readonly tree: TreeLog;
  readonly pending: LineLog;
  readonly index: SearchIndex;
  readonly lock: { readonly release: () => void };
};

class OpenLedger implements Ledger {
  readonly key: NoteKey;
  readonly #options: LedgerOptions;
  readonly #tree: TreeLog;
  readonly #pending: LineLog;
  readonly #index: SearchIndex;
  readonly #lock: { readonly release: () => void };
  readonly #signEveryMs: number;
  #sequences = new Sequences();
  readonly #waiting: WaitingEntries;
  #signTimer: NodeJS.Timeout | undefined;
  #signing: Promise<void> | undefined;
  #signFailing = false;
  #indexing: Promise<void> | undefined;
  #closed = false;

  constructor(options: LedgerOptions, { tree, pending, index, lock }: Parts) {
    const { keyName, publicKey } = options.signer;
    this.key = noteKey(keyName, publicKey);
    this.#options = options;
    this.#tree = tree;
    this.#pending = pending;
    this.#index = index;
    this.#waiting = new WaitingEntries(tree.size);
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
    this.#sequences = new Sequences(this.#index.epochs());
    await this.#followFrom(Math.min(this.#index.nextIndex, this.size));
    if (this.#index.nextIndex > this.size) await this.#recordTruncation();
    if (this.#waiting.to > this.#waiting.from) this.#signLater(0);
    this.#startIndexing();
  }

  async appendBatch(batch: JournalBatch): Promise<BatchOutcome> {
    if (this.#closed) throw new LedgerError('closed', 'the ledger is closed');
    if (!this.#pending.healthy) throw new LedgerError('write-failed', 'the ledger cannot be written');
    if (this.#waiting.bytes > MAX_WAITING_BYTES)
      throw new LedgerError('overflow', 'entries do not reach the tree');
    checkBatch(batch);
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
    await this.#untilIndexed();
    const found: FoundEntry[] = [];
    for (const index of await this.#index.search(query)) found.push(...(await this.#read(index, index + 1)));
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
    const origin = parseRecordId(id);
    if (origin !== undefined) {
      await this.#untilIndexed();
      const index = this.#index.findRecord(origin);
      return index === undefined ? [] : this.#read(index, index + 1);
    }
    const found = await this.search({ requestId: id, limit: MAX_HOPS });
    const rank = ({ entry }: FoundEntry) =>
      entry?.kind === 'record' && entry.record.direction === 'edge' ? 0 : 1;
    return found.sort((a, b) => rank(a) - rank(b) || a.index - b.index);
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
    await this.#indexing;
    await this.#pending.close();
    this.#index.close();
    this.#lock.release();
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
    this.#signLater(this.#signEveryMs);
    this.#startIndexing();
  }

  #signLater(ms: number): void {
    if (this.#closed || this.#signTimer !== undefined || this.#signing !== undefined) return;
    this.#signTimer = setTimeout(() => {
      this.#signTimer = undefined;
      // A failure is logged and tried again; nobody waits for this one.
      this.sign().catch(() => {});
    }, ms);
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
    this.#waiting.dropBefore(this.#tree.size);
    this.#pending.acknowledge(this.#tree.size);
  }

  #signed(): void {
    this.#signing = undefined;
    if (this.#signFailing) this.#signLater(RETRY_MS);
    else if (this.#tree.size < this.size) this.#signLater(this.#signEveryMs);
  }

  #startIndexing(): void {
    if (this.#closed) return;
    this.#indexing ??= this.#indexAll()
      .catch((error: unknown) =>
        this.#options.log.error('search index not written', { error: String(error) }),
      )
      .finally(() => (this.#indexing = undefined));
  }

  async #indexAll(): Promise<void> {
    while (this.#index.nextIndex < this.size && !this.#closed) {
      const from = this.#index.nextIndex;
      const inTree = from < this.#waiting.from;
      const to = Math.min(inTree ? this.#waiting.from : this.size, from + INDEX_AT_ONCE);
      const entries = inTree ? await this.#readIndexed(from, to) : this.#waiting.takeIndexed(from, to);
      this.#index.add(entries);
      await new Promise(resolve => void setImmediate(resolve));
    }
  }

  async #readIndexed(from: number, to: number): Promise<IndexedEntry[]> {
    return (await this.#readBytes(from, to)).map((bytes, offset) => {
      const leafHash = bytes === undefined ? Buffer.alloc(0) : hashLeaf(bytes);
      return { index: from + offset, entry: readEntry(bytes), leafHash };
    });
  }

  async #untilIndexed(): Promise<void> {
    const wanted = this.size;
    const untilMs = this.#options.clock.monotonicMs() + INDEX_WAIT_MS;
    while (this.#index.nextIndex < wanted && this.#options.clock.monotonicMs() < untilMs) {
      const before = this.#index.nextIndex;
      this.#startIndexing();
      await Promise.race([this.#indexing, new Promise(resolve => void setTimeout(resolve, 20))]);
      // It fails: the search is of what is there.
      if (this.#indexing === undefined && this.#index.nextIndex === before) return;
    }
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

  async #followFrom(from: number): Promise<void> {
    for (let index = from; index < this.size; index += TILE_WIDTH) {
      for (const bytes of await this.#readBytes(index, Math.min(this.size, index + TILE_WIDTH))) {
        const origin: RecordOrigin | undefined = bytes === undefined ? undefined : peekOrigin(bytes);
        const entry = origin === undefined ? readEntry(bytes) : null;
        if (origin !== undefined) this.#sequences.advance(origin);
        else if (entry !== null) this.#sequences.follow(entry);
      }
    }
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
