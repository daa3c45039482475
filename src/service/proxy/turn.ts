import type { Socket } from 'node:net';

/** Somebody for whom bytes have arrived. */
export interface Reader {
  /** Understands what has arrived; once is enough for all of it. */
  read(): void;
  /** `read` threw: a fault of ours, which ends this connection and not the point. Must not throw itself. */
  broke(error: unknown): void;
}

/** A longer piece leaves, or is understood, at once: above this, to hold it costs more than it saves. */
const MAX_HELD_BYTES = 16_384;

/**
 * One turn of the event loop: first everything is read, then everything is understood, then everything is written.
 *
 * A write to a peer that sleeps wakes it, and that costs more than all else that is done for a request. When the writes
 * to many peers leave back to back, most of them find their peer awake. To read first and understand then keeps the
 * code of each phase in the processor's caches. `bench/README.md` has the figures.
 */
export class Turn {
  #readers: Reader[] = [];
  #corked: Socket[] = [];
  #endsSoon = false;

  /** Calls `reader.read()` at the end of this turn, or now when much has arrived. @param bytes that wait for it */
  read(reader: Reader, bytes: number): void {
    if (bytes >= MAX_HELD_BYTES) {
      this.readNow(reader);
      return;
    }
    this.#endLater();
    this.#readers.push(reader);
  }

  readNow(reader: Reader): void {
    try {
      reader.read();
    } catch (error) {
      reader.broke(error);
    }
  }

  /** As `socket.write`, strings as Latin-1, but leaves at the end of the turn. @returns whether more may be written now */
  write(socket: Socket, part: string | Buffer): boolean {
    if (socket.writableCorked === 0 && part.length < MAX_HELD_BYTES) {
      this.#endLater();
      socket.cork();
      this.#corked.push(socket);
    }
    return typeof part === 'string' ? socket.write(part, 'latin1') : socket.write(part);
  }

  #endLater(): void {
    if (this.#endsSoon) return;
    this.#endsSoon = true;
    setImmediate(this.#end);
  }

  readonly #end = (): void => {
    const readers = this.#readers;
    this.#readers = [];
    for (const reader of readers) this.readNow(reader);
    // From here on what comes belongs to the next turn.
    this.#endsSoon = this.#readers.length > 0;
    if (this.#endsSoon) setImmediate(this.#end);
    const corked = this.#corked;
    this.#corked = [];
    for (const socket of corked) socket.uncork();
  };
}
