import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { writeFully, type Files, type OpenFile } from './files.ts';
import { LedgerError } from './ledger-error.ts';
import { LineBlock, type Done } from './line-block.ts';
import { saltOf } from './line.ts';
import { findTail, listSegments, readSegment, segmentAt, type Cursor, type Segment } from './segment.ts';

export type LineLogOptions = {
  readonly directory: string;
  /** Who writes; part of every line's checksum. */
  readonly name: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<LineLogLimits>;
};

export type LineLogLimits = {
  /** A segment that has grown to this is closed, and the next one begun. */
  readonly segmentBytes: number;
  /** More than this waiting in memory is refused: the disk does not keep up. */
  readonly maxQueuedBytes: number;
  /** How long a relaxed line may wait for its way to the disk. */
  readonly relaxedMs: number;
  /** After a failed write, how long to wait before the next try. */
  readonly retryMs: number;
};

const DEFAULT_LIMITS: LineLogLimits = {
  segmentBytes: 8 * 1024 * 1024,
  maxQueuedBytes: 32 * 1024 * 1024,
  relaxedMs: 50,
  retryMs: 250,
};

const MAX_WRITE_BYTES = 4 * 1024 * 1024;
const MAX_READ_CHARS = 1024 * 1024;
const WARN_EVERY_MS = 5_000;

export type Lines = { readonly epoch: string; readonly firstSeq: number; readonly payloads: string[] };

/**
 * Numbered lines in segment files, with group commit: lines that arrive during one `fdatasync` share the next.
 *
 * INVARIANT: what `read` gives and `done` confirms is on the disk. Numbers never go back and are never used twice in an
 * epoch; a line that had to be dropped leaves its number unused, so that its loss shows.
 *
 * CRASH: a kill leaves at most a torn tail in the newest segment, cut at the next open; nothing confirmed is in it. A
 * failed write is repeated into a new segment that begins at the first unconfirmed number: from there on the old one
 * no longer counts. Each open begins a new epoch and a new segment, and never writes to an old file again.
 */
export class LineLog {
  readonly epoch = randomBytes(8).toString('hex');
  readonly #options: LineLogOptions;
  readonly #limits: LineLogLimits;
  readonly #salt: number;
  readonly #lock: { readonly release: () => void };
  readonly #listeners = new Set<() => void>();
  readonly #segments: Segment[];
  #file: OpenFile | undefined;
  #fileBytes = 0;
  #queue: LineBlock[] = [];
  #queuedBytes = 0;
  #nextSeq: number;
  /** One behind the last line that was not dropped. */
  #takenSeq: number;
  /** One behind the last line on the disk. */
  #durableSeq: number;
  /** One behind the last acknowledged line. */
  #keptSeq: number;
  #cursor: Cursor | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #removing: Promise<void> = Promise.resolve();
  /** Somebody waits for what is in the queue. */
  #urgent = false;
  #failing = false;
  #overflowing = false;
  #closed = false;
  #dropped = 0;
  #warnAtMs = 0;

  private constructor(
    options: LineLogOptions,
    lock: { release: () => void },
    segments: Segment[],
    nextSeq: number,
  ) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#salt = saltOf(options.name, this.epoch);
    this.#lock = lock;
    this.#segments = segments;
    this.#nextSeq = nextSeq;
    this.#takenSeq = nextSeq;
    this.#durableSeq = nextSeq;
    this.#keptSeq = segments[0]?.firstSeq ?? nextSeq;
  }

  /**
   * Opens or creates the log in `directory`; cost depends on the newest segment only.
   * @param minSeq the first number to use if the directory knows of no later one
   * @throws {LedgerError} `in-use`
   */
  static async open(options: LineLogOptions, minSeq = 1): Promise<LineLog> {
    const { directory, files, log, name } = options;
    await files.makeDirectory(directory);
    const lock = files.lock(join(directory, 'lock'));
    try {
      const segments = await listSegments(files, directory);
      let nextSeq = minSeq;
      for (let last = segments.at(-1); last !== undefined; last = segments.at(-1)) {
        const tail = await findTail(files, name, last);
        nextSeq = Math.max(nextSeq, last.firstSeq, tail.seq + 1);
        await cutTail(files, last, tail.endOffset, log);
        if (tail.seq !== 0 || segments.length === 1) break;
        // CRASH: a segment was created, and the process ended before its first line was on the disk.
        await files.remove(last.path);
        segments.pop();
      }
      return new LineLog(options, lock, segments, nextSeq);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }
  get durableSeq(): number {
    return this.#durableSeq;
  }
  get oldestSeq(): number {
    return this.#keptSeq;
  }
  get healthy(): boolean {
    return !this.#failing && !this.#overflowing && !this.#closed;
  }
  /** Lines that were dropped because the disk did not keep up. */
  get dropped(): number {
    return this.#dropped;
  }

  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes a line; never blocks, never throws. `done` is called exactly once and never before `append` returns: without
   * an error when the line is on the disk.
   */
  append(payload: string, mode: 'durable' | 'relaxed', done?: Done): void {
    if (this.#closed) return this.#tellLater(done, new LedgerError('closed', 'the journal is closed'));
    const seq = this.#nextSeq;
    this.#nextSeq += 1;
    if (this.#queuedBytes + payload.length > this.#limits.maxQueuedBytes) {
      this.#drop();
      return this.#tellLater(done, new LedgerError('overflow', 'the disk does not keep up'));
    }
    this.#queuedBytes += payload.length;
    this.#takenSeq = this.#nextSeq;
    this.#enqueue(seq, payload, this.#failing ? undefined : done);
    // While the disk refuses, the line waits for it and the caller does not.
    if (this.#failing)
      return this.#tellLater(done, new LedgerError('write-failed', 'the journal cannot be written'));
    if (mode === 'durable') this.#startNow();
    else this.#startLater(this.#limits.relaxedMs);
    return undefined;
  }

  /** Reads on-disk lines from `seq` (or the oldest kept) on, of one epoch; lines that are lost come as empty text. */
  async read(seq: number, maxRecords: number): Promise<Lines> {
    const fromSeq = Math.max(seq, this.#keptSeq);
    const at = this.#segments.findLastIndex(({ firstSeq }) => firstSeq <= fromSeq);
    const segment = this.#segments[at];
    if (segment === undefined || fromSeq >= this.#durableSeq)
      return { epoch: this.epoch, firstSeq: fromSeq, payloads: [] };
    const newest = at === this.#segments.length - 1;
    const toSeq = Math.min(this.#segments[at + 1]?.firstSeq ?? this.#durableSeq, this.#durableSeq);
    const { payloads, cursor } = await readSegment(
      this.#options.files,
      this.#options.name,
      segment,
      { fromSeq, toSeq, ...(newest && this.#file !== undefined && { endBytes: this.#fileBytes }) },
      { maxRecords, maxChars: MAX_READ_CHARS },
      this.#cursor,
    );
    this.#cursor = cursor;
    return { epoch: segment.epoch, firstSeq: fromSeq, payloads };
  }

  /** Lines up to and including `seq` are safe elsewhere: their segments may go. The newest segment always stays. */
  acknowledge(seq: number): void {
    this.#keptSeq = Math.max(this.#keptSeq, Math.min(seq + 1, this.#durableSeq));
    while ((this.#segments[1]?.firstSeq ?? Number.POSITIVE_INFINITY) <= this.#keptSeq) {
      const old = this.#segments.shift();
      if (old === undefined) return;
      const { files, log } = this.#options;
      this.#removing = this.#removing
        .then(() => files.remove(old.path))
        .catch((error: unknown) => log.warn('segment not removed', { file: old.path, error: String(error) }));
    }
  }

  /** Resolves when every line taken before is on the disk. @throws {LedgerError} `write-failed` */
  async flush(): Promise<void> {
    const wanted = this.#takenSeq;
    while (this.#durableSeq < wanted) {
      if (this.#failing || this.#closed)
        throw new LedgerError('write-failed', 'the journal cannot be written');
      this.#startNow();
      await this.#running;
    }
  }

  /** Writes what waits, as far as the disk takes it, and gives the lock back. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
    this.#urgent = true;
    if (this.#queue.length > 0) await this.#drain();
    this.#tellAll(this.#queue, new LedgerError('closed', 'the journal is closed'));
    await this.#closeFile();
    await this.#removing;
    this.#lock.release();
  }

  #startNow(): void {
    this.#urgent = true;
    if (this.#running !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#run();
  }

  #run(): void {
    this.#running = this.#drain().finally(() => {
      this.#running = undefined;
      if (this.#queue.length === 0 || this.#closed) return;
      if (this.#failing) this.#startLater(this.#limits.retryMs);
      else if (this.#urgent) this.#run();
      else this.#startLater(this.#limits.relaxedMs);
    });
  }

  #startLater(ms: number): void {
    if (this.#timer !== undefined || this.#running !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#run();
    }, ms);
  }

  async #drain(): Promise<void> {
    // Relaxed lines that come meanwhile wait for their own rhythm: a sync for every few lines would starve the disk.
    this.#urgent ||= this.#queue.length > 0;
    while (this.#urgent && this.#queue.length > 0) {
      const batch = this.#takeBatch();
      if (this.#queue.length === 0) this.#urgent = false;
      try {
        await this.#commit(batch);
      } catch (error) {
        await this.#fail(batch, error);
        return;
      }
      this.#failing = false;
      if (this.#queuedBytes < this.#limits.maxQueuedBytes / 2) this.#overflowing = false;
      this.#tellAll(batch, undefined);
      for (const listener of this.#listeners) this.#tell(listener, undefined);
    }
  }

  #enqueue(seq: number, payload: string, done: Done | undefined): void {
    let block = this.#queue.at(-1);
    if (block === undefined || !block.hasRoomFor(payload)) {
      block = new LineBlock(this.#salt, seq, payload);
      this.#queue.push(block);
    }
    block.append(seq, payload);
    if (done !== undefined) block.dones.push(done);
  }

  #takeBatch(): LineBlock[] {
    let bytes = 0;
    let count = 0;
    for (const { payloadBytes } of this.#queue) {
      if (count > 0 && bytes + payloadBytes > MAX_WRITE_BYTES) break;
      bytes += payloadBytes;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #commit(batch: readonly LineBlock[]): Promise<void> {
    const firstSeq = batch[0]?.firstSeq ?? this.#durableSeq;
    if (this.#file !== undefined && this.#fileBytes >= this.#limits.segmentBytes) await this.#closeFile();
    const begun = this.#file === undefined ? await this.#beginSegment(firstSeq) : undefined;
    const file = begun?.file ?? this.#file;
    if (file === undefined) return;
    let end = this.#fileBytes;
    for (const { data } of batch) {
      await writeFully(file, data, end);
      end += data.length;
    }
    await file.sync();
    if (begun !== undefined) {
      await this.#options.files.syncDirectory(this.#options.directory);
      this.#adopt(begun.segment);
    }
    this.#fileBytes = end;
    for (const { payloadBytes, endSeq } of batch) {
      this.#queuedBytes -= payloadBytes;
      this.#durableSeq = endSeq;
    }
  }

  async #beginSegment(firstSeq: number): Promise<{ file: OpenFile; segment: Segment }> {
    const segment = segmentAt(this.#options.directory, firstSeq, this.epoch);
    const file = await this.#options.files.open(segment.path, 'create');
    this.#file = file;
    this.#fileBytes = 0;
    return { file, segment };
  }

  /** From now on `segment` holds its numbers; one that begins at the same number was empty or abandoned. */
  #adopt(segment: Segment): void {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.firstSeq >= segment.firstSeq) {
      this.#segments.pop();
      if (last.path !== segment.path) void this.#options.files.remove(last.path).catch(() => {});
    }
    this.#segments.push(segment);
    this.acknowledge(this.#keptSeq - 1);
  }

  async #fail(batch: readonly LineBlock[], error: unknown): Promise<void> {
    this.#warn('journal not written', { error: String(error) });
    this.#failing = true;
    // After a failed write or sync the file's state is unknown: the lines go to a new segment, nothing is added to this.
    await this.#closeFile();
    this.#queue = [...batch, ...this.#queue];
    this.#tellAll(
      this.#queue,
      new LedgerError('write-failed', 'the journal cannot be written', { cause: error }),
    );
  }

  #tellAll(blocks: readonly LineBlock[], outcome: Error | undefined): void {
    for (const block of blocks) {
      const { dones } = block;
      block.dones = [];
      for (const done of dones) this.#tell(done, outcome);
    }
  }

  /** Whoever is told may have a bug of his own: the others are told all the same, and the journal goes on. */
  #tell(done: Done | undefined, outcome: Error | undefined): void {
    try {
      done?.(outcome);
    } catch (error) {
      this.#warn('who waited for the journal failed', { error: String(error) });
    }
  }

  #tellLater(done: Done | undefined, outcome: Error): void {
    if (done !== undefined) queueMicrotask(() => this.#tell(done, outcome));
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#fileBytes = 0;
    await file?.close().catch(() => {});
  }

  #drop(): void {
    this.#overflowing = true;
    this.#dropped += 1;
    this.#warn('records dropped: the disk does not keep up', { dropped: this.#dropped });
  }

  #warn(message: string, fields: { error?: string; dropped?: number }): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#warnAtMs) return;
    this.#warnAtMs = nowMs + WARN_EVERY_MS;
    this.#options.log.error(message, fields);
  }
}

async function cutTail(files: Files, segment: Segment, endOffset: number, log: Log): Promise<void> {
  const file = await files.open(segment.path, 'change');
  try {
    const size = await file.size();
    if (size === endOffset) return;
    log.warn('torn tail cut', { file: segment.path, bytes: size - endOffset });
    await file.truncate(endOffset);
    await file.sync();
  } finally {
    await file.close();
  }
}
