import { open, rename, type FileHandle } from 'node:fs/promises';
import { hasCode } from '#base/error';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** What may wait for the disk; lines beyond are counted and left out. */
const MAX_WAITING_BYTES = 1024 * 1024;

/** A log that two files hold: the current one and the one before it (`.1`). Never slows or fails its writer. */
export class LogFile {
  readonly #path: string;
  readonly #maxBytes: number;
  #file: FileHandle | undefined;
  #bytes = 0;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #writing: Promise<void> | undefined;

  constructor(path: string, maxBytes = MAX_FILE_BYTES) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** @param line without its newline */
  write(line: string): void {
    if (this.#waitingBytes > MAX_WAITING_BYTES) {
      this.#dropped += 1;
      return;
    }
    if (this.#dropped > 0) {
      this.#waiting.push(`(${this.#dropped} lines left out)\n`);
      this.#dropped = 0;
    }
    this.#waiting.push(`${line}\n`);
    this.#waitingBytes += line.length;
    this.#writing ??= this.#drain();
  }

  /** Resolves once all lines are written. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const text = this.#waiting.join('');
      this.#waiting = [];
      this.#waitingBytes = 0;
      try {
        await this.#append(text);
      } catch {
        // A log that cannot be written (disk full, directory removed) must not stop the service that writes it.
      }
    }
    this.#writing = undefined;
  }

  async #append(text: string): Promise<void> {
    if (this.#file === undefined) {
      this.#file = await open(this.#path, 'a', 0o600);
      this.#bytes = (await this.#file.stat()).size;
    }
    if (this.#bytes > this.#maxBytes) await this.#rotate();
    const { bytesWritten } = await this.#file.write(text);
    this.#bytes += bytesWritten;
  }

  async #rotate(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    await rename(this.#path, `${this.#path}.1`).catch((error: unknown) => {
      if (!hasCode(error, 'ENOENT')) throw error;
    });
    this.#file = await open(this.#path, 'a', 0o600);
    this.#bytes = 0;
  }
}
