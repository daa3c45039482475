import type { Gap, LedgerEntry, RecordOrigin } from '#domain/record';

/** How far the records of one epoch of a point have come. */
export type EpochState = { readonly point: string; readonly epoch: string; readonly nextSeq: number };

/** What to do with a batch that begins at some number. */
export type Continuation =
  /** Take it, without its first `known` records; write `gap` before the rest. */
  | { readonly kind: 'take'; readonly known: number; readonly gap: Omit<Gap, 'timeMs'> | undefined }
  | { readonly kind: 'out-of-sequence'; readonly expectedSeq: number };

/** Where an epoch stands, and the last batch for it that was out of sequence. */
type Place = { readonly nextSeq: number; refusedSeq: number | undefined };

const EPOCHS_KEPT = 8;

/**
 * Which record of which point comes next. Numbers go on over the epochs of a point, so that a restart leaves no trace
 * and a journal that was put back or emptied does.
 */
export class Sequences {
  /** Epochs of a point, oldest first. */
  readonly #points = new Map<string, Map<string, Place>>();

  constructor(states: readonly EpochState[] = []) {
    for (const { point, epoch, nextSeq } of states) this.#set(point, epoch, nextSeq);
  }

  /** Of each point, oldest epochs first. */
  states(): EpochState[] {
    return [...this.#points].flatMap(([point, epochs]) =>
      [...epochs].map(([epoch, { nextSeq }]) => ({ point, epoch, nextSeq })),
    );
  }

  decide(point: string, epoch: string, firstSeq: number): Continuation {
    const epochs = this.#points.get(point);
    const place = epochs?.get(epoch);
    if (place === undefined) {
      const [latest, last] = epochs === undefined ? [] : ([...epochs].at(-1) ?? []);
      const gap = this.#gapBefore(point, epoch, firstSeq, latest, last?.nextSeq);
      return { kind: 'take', known: 0, gap };
    }
    const { nextSeq: known } = place;
    if (firstSeq <= known) return { kind: 'take', known: known - firstSeq, gap: undefined };
    // A point that skips is told where to go on. If it then comes with the very same batch, it has nothing earlier.
    if (place.refusedSeq !== firstSeq) {
      place.refusedSeq = firstSeq;
      return { kind: 'out-of-sequence', expectedSeq: known };
    }
    place.refusedSeq = undefined;
    return {
      kind: 'take',
      known: 0,
      gap: { point, epoch, fromSeq: known, toSeq: firstSeq - 1, cause: 'lost' },
    };
  }

  /** Follows an entry of the ledger; entries of the past give the state of the present. */
  follow(entry: LedgerEntry): void {
    const last = lastOrigin(entry);
    if (last !== undefined) this.advance(last);
  }

  /** The record with this origin is in the ledger, or is known to be lost. */
  advance({ point, epoch, seq }: RecordOrigin): void {
    this.#set(point, epoch, seq + 1);
  }

  #gapBefore(
    point: string,
    epoch: string,
    firstSeq: number,
    latest: string | undefined,
    next = 1,
  ): Omit<Gap, 'timeMs'> | undefined {
    if (firstSeq === next) return undefined;
    if (firstSeq > next)
      return { point, epoch: latest ?? epoch, fromSeq: next, toSeq: firstSeq - 1, cause: 'lost' };
    return { point, epoch: latest ?? epoch, fromSeq: next, toSeq: null, cause: 'journal-replaced' };
  }

  #set(point: string, epoch: string, nextSeq: number): void {
    let epochs = this.#points.get(point);
    if (epochs === undefined) this.#points.set(point, (epochs = new Map()));
    epochs.set(epoch, { nextSeq, refusedSeq: undefined });
    if (epochs.size > EPOCHS_KEPT) {
      const [oldest] = epochs.keys();
      if (oldest !== undefined) epochs.delete(oldest);
    }
  }
}

/** The last record that an entry accounts for. */
export function lastOrigin(entry: LedgerEntry): RecordOrigin | undefined {
  if (entry.kind === 'record') return entry.origin;
  const { point, epoch, toSeq, cause } = entry.gap;
  // What control lost of its own is numbered by the ledger and not by a point.
  return toSeq === null || cause === 'ledger-damaged' ? undefined : { point, epoch, seq: toSeq };
}
