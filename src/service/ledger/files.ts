import { closeSync, constants, fchmodSync, fstatSync, openSync, read } from 'node:fs';
import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { hasCode } from '#base/error';
import { LedgerError } from './ledger-error.ts';

/** An open file. Positions are the caller's business: nothing is appended behind its back. */
export type OpenFile = {
  /** Writes some of `data` at `position`; gives how many bytes, which may be fewer than asked. */
  readonly write: (data: Uint8Array, position: number) => Promise<number>;
  /** Gives how many bytes were read; 0 at the end. */
  readonly read: (into: Uint8Array, position: number) => Promise<number>;
  readonly truncate: (bytes: number) => Promise<void>;
  /** Resolves when everything written is on the disk. */
  readonly sync: () => Promise<void>;
  readonly size: () => Promise<number>;
  readonly close: () => Promise<void>;
};

/**
 * What the ledger needs of a file system. Names become durable by `syncDirectory` only, contents by `sync` only.
 * Missing files make `ENOENT` errors, as Node's do.
 */
export type Files = {
  readonly makeDirectory: (path: string) => Promise<void>;
  /** Names in a directory, in no order; empty when it does not exist. */
  readonly list: (path: string) => Promise<string[]>;
  /** `create` empties an existing file. */
  readonly open: (path: string, how: 'create' | 'change' | 'read') => Promise<OpenFile>;
  readonly readAll: (path: string) => Promise<Buffer>;
  readonly rename: (from: string, to: string) => Promise<void>;
  /** Removes a file or a tree; no error when it does not exist. */
  readonly remove: (path: string) => Promise<void>;
  readonly syncDirectory: (path: string) => Promise<void>;
  /**
   * Takes the right to be the only writer; the kernel gives it back when the process ends.
   * @throws {LedgerError} `in-use`
   */
  readonly lock: (path: string) => { readonly release: () => void };
};

const FLAGS = {
  create: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
  change: constants.O_RDWR,
  read: constants.O_RDONLY,
} as const;

/** The machine's files: directories of mode 0700, files of mode 0600. */
export const nodeFiles: Files = {
  makeDirectory: async path => void (await mkdir(path, { recursive: true, mode: 0o700 })),
  list: async path => {
    try {
      return await readdir(path);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [];
      throw error;
    }
  },
  open: async (path, how) => openFile(await open(path, FLAGS[how], 0o600)),
  readAll,
  rename: (from, to) => rename(from, to),
  remove: path => rm(path, { recursive: true, force: true }),
  syncDirectory: async path => {
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
  lock: path => {
    // Node has no flock; SQLite's exclusive transaction is a lock of the kernel, gone with its process.
    makePrivate(path);
    const database = new DatabaseSync(path);
    try {
      database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
    } catch (error) {
      database.close();
      throw new LedgerError('in-use', 'another process writes here', { cause: error });
    }
    return { release: () => database.close() };
  },
};

const readSome = promisify(read);

/** Hands only the reading to a thread: a ledger reads thousands of small files, and all else costs more handed over. */
async function readAll(path: string): Promise<Buffer> {
  const file = openSync(path, FLAGS.read);
  try {
    const bytes = Buffer.allocUnsafeSlow(fstatSync(file).size);
    let done = 0;
    while (done < bytes.byteLength) {
      const { bytesRead } = await readSome(file, bytes, done, bytes.byteLength - done, done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(file);
  }
}

/** SQLite makes files as the umask has it. One that is there keeps its mode, and those beside it take the same. */
export function makePrivate(path: string): void {
  const file = openSync(path, 'a', 0o600);
  try {
    fchmodSync(file, 0o600);
  } finally {
    closeSync(file);
  }
}

function openFile(handle: FileHandle): OpenFile {
  return {
    write: async (data, position) => (await handle.write(data, 0, data.byteLength, position)).bytesWritten,
    read: async (into, position) => (await handle.read(into, 0, into.byteLength, position)).bytesRead,
    truncate: bytes => handle.truncate(bytes),
    sync: () => handle.datasync(),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
  };
}

/** Writes all of `data` from `position` on. */
export async function writeFully(file: OpenFile, data: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < data.byteLength) {
    const written = await file.write(done === 0 ? data : data.subarray(done), position + done);
    if (written === 0) throw new LedgerError('write-failed', 'the file takes no more bytes');
    done += written;
  }
}

/** Creates or empties a file, fills it and puts it on the disk. Its name is not durable yet. */
export async function writeFile(files: Files, path: string, data: Uint8Array): Promise<void> {
  const file = await files.open(path, 'create');
  try {
    await writeFully(file, data, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}
