import { randomUUID } from 'node:crypto';
import type { Clock } from '#base/clock';
import { CodedError } from '#base/error';
import type { Log } from '#base/log';
import type { TransactionRecord } from '#domain/record';
import type { Journal } from '#service/ledger';
import type { RecordKeeper } from './ports.ts';

export class OperationError extends CodedError<'not-recorded'> {}

/** What somebody who may open control's socket has had done. */
export type Operation = {
  readonly action: 'apply' | 'revoke' | 'restore' | 'issue-token' | 'issue-identity' | 'revoke-certificate';
  /** SPIFFE ID of the service that it is about; empty without one. */
  readonly service?: string;
  /** `issuer|subject` of the user that it is about. */
  readonly user?: string;
};

/** What happens when it cannot be recorded. What only takes away does not wait for a disk that is full. */
const WITHOUT_RECORD: Readonly<Record<Operation['action'], 'not-begun' | 'nothing-given' | 'goes-on'>> = {
  apply: 'not-begun',
  revoke: 'goes-on',
  restore: 'not-begun',
  'issue-token': 'nothing-given',
  'issue-identity': 'nothing-given',
  'revoke-certificate': 'goes-on',
};

/** What became of it: `allowed` when it was done. */
export type OperationOutcome = Pick<TransactionRecord, 'decision' | 'detail'>;

type Parts = {
  readonly journal: Journal;
  readonly keeper: RecordKeeper;
  readonly clock: Clock;
  readonly log: Log;
};

const SHIP_AT_ONCE = 1_000;
const RETRY_MS = 5_000;
const ACTOR = 'operator';

/**
 * Writes operations into the ledger, beside the transactions: first to a journal of control's own, as points do, so
 * that nothing is lost while the ledger cannot take it.
 */
export class Operations {
  readonly #journal: Journal;
  readonly #keeper: RecordKeeper;
  readonly #clock: Clock;
  readonly #log: Log;
  #shipping: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;

  /** @param parts.journal of the point `control` */
  constructor({ journal, keeper, clock, log }: Parts) {
    this.#journal = journal;
    this.#keeper = keeper;
    this.#clock = clock;
    this.#log = log;
    journal.onAppended(() => this.#ship());
    this.#ship();
  }

  /**
   * Carries out an operation, and records what became of it before anybody is told.
   *
   * @param tell says what became of it
   * @throws {OperationError} `not-recorded`
   */
  async carryOut<T>(
    operation: Operation,
    work: () => Promise<T>,
    tell: (result: T) => OperationOutcome,
  ): Promise<T> {
    const without = WITHOUT_RECORD[operation.action];
    if (without !== 'goes-on' && !this.#journal.healthy) throw notRecorded();
    const timeMs = this.#clock.nowMs();
    const result = await this.#attempt(operation, timeMs, work);
    const isRecorded = await this.#write(operation, timeMs, tell(result));
    if (!isRecorded && without === 'nothing-given') throw notRecorded();
    return result;
  }

  async close(): Promise<void> {
    clearTimeout(this.#retry);
    await this.#shipping;
    await this.#journal.close();
  }

  async #attempt<T>(operation: Operation, timeMs: number, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const detail = error instanceof CodedError ? String(error.code) : 'a fault of control';
      await this.#write(operation, timeMs, { decision: 'failed', detail });
      throw error;
    }
  }

  /** @returns whether it is on the disk */
  async #write(operation: Operation, timeMs: number, outcome: OperationOutcome): Promise<boolean> {
    const record = recordOf(operation, timeMs, this.#clock.nowMs(), outcome);
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.#journal.append(record, 'durable', resolve);
    const error = await promise;
    if (error === undefined) return true;
    this.#log.error('an operation could not be recorded', { action: operation.action, error: error.message });
    return false;
  }

  #ship(): void {
    this.#shipping = this.#shipping.then(() => this.#shipAll());
  }

  async #shipAll(): Promise<void> {
    clearTimeout(this.#retry);
    try {
      for (;;) {
        const batch = await this.#journal.readFrom(this.#journal.oldestSeq, SHIP_AT_ONCE);
        if (batch.lines.length === 0) return;
        this.#journal.acknowledge(await this.#keeper.appendBatch(batch));
      }
    } catch (error) {
      this.#log.warn('operations are not in the ledger yet', {
        error: error instanceof Error ? error.message : '',
      });
      this.#retry = setTimeout(() => this.#ship(), RETRY_MS).unref();
    }
  }
}

function recordOf(
  { action, service = '', user = '' }: Operation,
  timeMs: number,
  endMs: number,
  { decision, detail }: OperationOutcome,
): TransactionRecord {
  return {
    timeMs,
    requestId: randomUUID(),
    traceId: '',
    direction: 'operation',
    // Whoever may open the socket: the file's mode decides it, and more is not known.
    client: { kind: 'operator', id: ACTOR, address: '' },
    user,
    caller: '',
    callee: service,
    host: '',
    method: action,
    path: '',
    rule: '',
    decision,
    reason: '',
    detail,
    status: 0,
    bytesIn: 0,
    bytesOut: 0,
    durationUs: Math.max(0, endMs - timeMs) * 1000,
  };
}

function notRecorded(): OperationError {
  return new OperationError('not-recorded', 'it cannot be recorded, and is not done');
}
