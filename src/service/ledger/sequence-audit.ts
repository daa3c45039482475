import type { Gap, RecordOrigin } from '#domain/record';

type Progress = { nextSeq: number; pardons: number };

/** Whether records of each point follow each other without a hole that no gap entry explains. */
export class SequenceAudit {
  readonly #epochs = new Map<string, Progress>();
  readonly #latest = new Map<string, Progress>();
  /** Points whose next epoch may begin anywhere. */
  readonly #free = new Set<string>();
  #pardons = 0;

  /** Gives what is wrong with the place of this entry; `undefined` when nothing is. */
  check(entry: RecordOrigin | Gap): string | undefined {
    if ('seq' in entry) return this.#checkRecord(entry);
    const { point, epoch, toSeq, cause } = entry;
    if (cause === 'ledger-damaged') this.#pardons += 1;
    else if (toSeq === null) this.#free.add(point);
    else this.#advance(point, epoch, toSeq);
    return undefined;
  }

  #checkRecord({ point, epoch, seq }: RecordOrigin): string | undefined {
    const known = this.#epochs.get(`${point}/${epoch}`);
    const { nextSeq, pardons } = known ?? this.#latest.get(point) ?? { nextSeq: 1, pardons: 0 };
    const explained = pardons < this.#pardons || (known === undefined && this.#free.delete(point));
    this.#advance(point, epoch, seq);
    if (seq === nextSeq || explained) return undefined;
    return seq > nextSeq
      ? `records ${nextSeq} to ${seq - 1} of its point are missing before it`
      : `it is record ${seq} of its point, and record ${nextSeq} should be here`;
  }

  #advance(point: string, epoch: string, seq: number): void {
    const progress = { nextSeq: seq + 1, pardons: this.#pardons };
    this.#epochs.set(`${point}/${epoch}`, progress);
    this.#latest.set(point, progress);
  }
}
