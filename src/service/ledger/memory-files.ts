import { dirname, sep } from 'node:path';
import type { Files, OpenFile } from './files.ts';
import { LedgerError } from './ledger-error.ts';

type Content = { now: Buffer; synced: Buffer };

/** One thing that is done to the file system, numbered from 1. */
export type FileOperation = { readonly count: number; readonly name: string; readonly path: string };

/**
 * What becomes of an operation: `fails` does nothing, `fails-but-persists` does it and says that it failed, `short`
 * writes half, `crash` is the end of the process before it.
 */
export type Fate = 'works' | 'fails' | 'fails-but-persists' | 'short' | 'crash';

/**
 * A file system in memory that loses what a real one may lose: after a power cut, contents that were not synced and
 * names whose directory was not; after a kill, nothing.
 */
export class MemoryFiles implements Files {
  /** Decides the fate of each operation that changes something. */
  fate: (operation: FileOperation) => Fate = () => 'works';
  /** Holds an operation that changes something back. */
  delay: (name: string) => Promise<void> = () => Promise.resolve();
  operations = 0;
  /** Files that were read whole. */
  readonly read = new Set<string>();
  #names = new Map<string, Content>();
  #durableNames = new Map<string, Content>();
  #locks = new Set<string>();
  #crashed = false;
  #life = 0;

  /** The machine is up again: after a `kill` with all that was written, after a `power-cut` with what was synced. */
  restart(after: 'kill' | 'power-cut'): void {
    if (after === 'power-cut') {
      this.#names = new Map(this.#durableNames);
      for (const content of this.#names.values()) content.now = Buffer.from(content.synced);
    }
    this.#life += 1;
    this.#crashed = false;
    this.#locks.clear();
    this.fate = () => 'works';
  }

  /** Another machine with the same disk, as it is now. */
  copy(): MemoryFiles {
    const copied = new Map<Content, Content>();
    const copyOf = (content: Content) => {
      const known = copied.get(content) ?? {
        now: Buffer.from(content.now),
        synced: Buffer.from(content.synced),
      };
      copied.set(content, known);
      return known;
    };
    const copy = new MemoryFiles();
    for (const [path, content] of this.#names) copy.#names.set(path, copyOf(content));
    for (const [path, content] of this.#durableNames) copy.#durableNames.set(path, copyOf(content));
    return copy;
  }

  /** Whether an operation met the fate `crash`. */
  get crashed(): boolean {
    return this.#crashed;
  }

  /** A file's bytes, to be looked at or changed behind everyone's back. */
  content(path: string): Buffer | undefined {
    return this.#names.get(path)?.now;
  }

  replace(path: string, bytes: Uint8Array): void {
    this.#names.set(path, { now: Buffer.from(bytes), synced: Buffer.from(bytes) });
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  readonly makeDirectory = async (): Promise<void> => this.#check();

  readonly list = async (path: string): Promise<string[]> => {
    this.#check();
    const prefix = `${path}${sep}`;
    const names = this.paths().filter(name => name.startsWith(prefix));
    return [...new Set(names.map(name => name.slice(prefix.length).split(sep)[0] ?? ''))];
  };

  readonly open = async (path: string, how: 'create' | 'change' | 'read'): Promise<OpenFile> => {
    if (how !== 'create' && !this.#names.has(path)) throw missing(path);
    const life = this.#life;
    if (how === 'create') await this.#do('create', path, () => this.#empty(path));
    else this.#check();
    const content = this.#names.get(path) ?? { now: Buffer.alloc(0), synced: Buffer.alloc(0) };
    const act = (name: string, work: (half: boolean) => number | undefined) => {
      if (life !== this.#life) throw new Error('file of an earlier life');
      return this.#do(name, path, work);
    };
    return {
      write: async (data, position) =>
        (await act('write', half => {
          const part = half ? data.subarray(0, Math.ceil(data.byteLength / 2)) : data;
          const grown = Buffer.alloc(Math.max(content.now.byteLength, position + part.byteLength));
          grown.set(content.now);
          grown.set(part, position);
          content.now = grown;
          return part.byteLength;
        })) ?? 0,
      read: async (into, position) => {
        this.#check();
        const part = content.now.subarray(position, position + into.byteLength);
        into.set(part);
        return part.byteLength;
      },
      truncate: async bytes => {
        await act('truncate', () => void (content.now = Buffer.from(content.now.subarray(0, bytes))));
      },
      sync: async () => {
        await act('sync', () => void (content.synced = Buffer.from(content.now)));
      },
      size: async () => content.now.byteLength,
      close: async () => {},
    };
  };

  readonly readAll = async (path: string): Promise<Buffer> => {
    this.#check();
    this.read.add(path);
    const content = this.#names.get(path);
    if (content === undefined) throw missing(path);
    return Buffer.from(content.now);
  };

  readonly rename = async (from: string, to: string): Promise<void> => {
    await this.#do('rename', to, () => {
      const content = this.#names.get(from);
      if (content === undefined) throw missing(from);
      this.#names.set(to, content);
      this.#names.delete(from);
    });
  };

  readonly remove = async (path: string): Promise<void> => {
    await this.#do('remove', path, () => {
      for (const name of this.paths())
        if (name === path || name.startsWith(`${path}${sep}`)) this.#names.delete(name);
    });
  };

  readonly syncDirectory = async (path: string): Promise<void> => {
    await this.#do('sync directory', path, () => {
      for (const name of this.#durableNames.keys()) {
        if (dirname(name) === path && !this.#names.has(name)) this.#durableNames.delete(name);
      }
      for (const [name, content] of this.#names)
        if (dirname(name) === path) this.#durableNames.set(name, content);
    });
  };

  readonly lock = (path: string): { release: () => void } => {
    if (this.#locks.has(path)) throw new LedgerError('in-use', 'another process writes here');
    this.#locks.add(path);
    const life = this.#life;
    return { release: () => void (life === this.#life && this.#locks.delete(path)) };
  };

  #empty(path: string): undefined {
    const content = this.#names.get(path);
    if (content === undefined) this.#names.set(path, { now: Buffer.alloc(0), synced: Buffer.alloc(0) });
    else content.now = Buffer.alloc(0);
  }

  async #do(
    name: string,
    path: string,
    work: (half: boolean) => number | undefined | void,
  ): Promise<number | undefined> {
    // Like a real one: nothing happens before the caller goes on.
    await this.delay(name);
    this.#check();
    this.operations += 1;
    const fate = this.fate({ count: this.operations, name, path });
    if (fate === 'crash') {
      this.#crashed = true;
      this.#check();
    }
    if (fate === 'fails') throw new Error(`${name} failed (no space left)`);
    const result = work(fate === 'short') ?? undefined;
    if (fate === 'fails-but-persists') throw new Error(`${name} failed and persisted`);
    return result;
  }

  #check(): void {
    if (this.#crashed) throw new Error('the process is gone');
  }
}

function missing(path: string): Error {
  return Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
}
