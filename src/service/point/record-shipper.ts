import type { Log } from '#base/log';
import type { Journal } from '#service/ledger';
import type { PointMessage } from '#service/link';

export type RecordShipperOptions = {
  readonly journal: Pick<Journal, 'readFrom' | 'acknowledge' | 'oldestSeq' | 'onAppended'>;
  readonly send: (message: PointMessage) => void;
  readonly isUp: () => boolean;
  readonly log: Log;
};

const MAX_RECORDS = 1024;
const MAX_BATCH_CHARS = 2 * 1024 * 1024;
const MAX_RECORD_CHARS = 65_536;
const RETRY_MS = 1000;

/**
 * Brings the journal to control: one batch on the way at a time, the next after its acknowledgement. What was not
 * acknowledged when a stream ended is sent again; control takes it once.
 */
export class RecordShipper {
  readonly #options: RecordShipperOptions;
  readonly #unsubscribe: () => void;
  #nextSeq: number;
  #onTheWay: { readonly epoch: string } | undefined;
  #reading = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RecordShipperOptions) {
    this.#options = options;
    this.#nextSeq = options.journal.oldestSeq;
    this.#unsubscribe = options.journal.onAppended(() => this.#ship());
  }

  /** A new stream is there: all that is not acknowledged goes again. */
  restart(): void {
    this.#onTheWay = undefined;
    this.#nextSeq = this.#options.journal.oldestSeq;
    this.#ship();
  }

  recorded(epoch: string, seq: number): void {
    if (this.#onTheWay?.epoch !== epoch) return;
    this.#onTheWay = undefined;
    this.#options.journal.acknowledge(seq);
    this.#nextSeq = seq + 1;
    this.#ship();
  }

  /** Control could not keep the batch, or misses earlier ones. The journal keeps it, and all goes again. */
  notRecorded(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.restart(), RETRY_MS);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#unsubscribe();
  }

  #ship(): void {
    if (this.#closed || this.#reading || this.#onTheWay !== undefined || !this.#options.isUp()) return;
    this.#reading = true;
    void this.#shipNext().finally(() => (this.#reading = false));
  }

  async #shipNext(): Promise<void> {
    const { isUp, journal, log, send } = this.#options;
    try {
      const batch = await journal.readFrom(this.#nextSeq, MAX_RECORDS);
      if (batch.lines.length === 0 || this.#closed || !isUp()) return;
      const lines = takeWithin(batch.lines);
      this.#onTheWay = { epoch: batch.epoch };
      send({ kind: 'records', epoch: batch.epoch, firstSeq: batch.firstSeq, lines });
    } catch (error) {
      log.error('the journal cannot be read', { error: (error as Error).message });
      this.notRecorded();
    }
  }
}

/** As many lines as one message carries; at least one. A line that no message carries counts as lost, as a gap shows. */
function takeWithin(lines: readonly string[]): string[] {
  const taken: string[] = [];
  let chars = 0;
  for (const line of lines) {
    chars += line.length;
    if (taken.length > 0 && chars > MAX_BATCH_CHARS) break;
    taken.push(line.length > MAX_RECORD_CHARS ? '' : line);
  }
  return taken;
}
