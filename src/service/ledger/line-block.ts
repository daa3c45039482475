import { LINE_BYTES, writeLine } from './line.ts';

export type Done = (error: Error | undefined) => void;

const BLOCK_BYTES = 64 * 1024;

/** Lines on their way to the disk, as the bytes that will be written: what waits there costs the collector nothing. */
export class LineBlock {
  readonly firstSeq: number;
  /** One behind the last line. */
  endSeq: number;
  payloadBytes = 0;
  /** Who is to be told. */
  dones: Done[] = [];
  readonly #salt: number;
  readonly #room: Buffer;
  #end = 0;

  /** @param payload the first one: there is room for it, however long it is */
  constructor(salt: number, firstSeq: number, payload: string) {
    this.#salt = salt;
    this.firstSeq = firstSeq;
    this.endSeq = firstSeq;
    this.#room = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, payload.length + LINE_BYTES));
  }

  get data(): Buffer {
    return this.#room.subarray(0, this.#end);
  }

  hasRoomFor(payload: string): boolean {
    return this.#end + payload.length + LINE_BYTES <= this.#room.length;
  }

  append(seq: number, payload: string): void {
    this.#end = writeLine(this.#room, this.#end, this.#salt, seq, payload);
    this.endSeq = seq + 1;
    this.payloadBytes += payload.length;
  }
}
