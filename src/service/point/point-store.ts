import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeHex, sha256 } from '#base/bytes';
import { hasCode } from '#base/error';
import type { Log } from '#base/log';
import { closed, compileSchema, SchemaError, Type, type Static } from '#base/schema';
import { envelopeSchema, type Envelope } from '#domain/dsse';
import { openSealer, SealedError, writeFileAtomically, type Sealer } from '#service/sealed';
import type { PointConfig } from './point-config.ts';

const count = Type.Integer({ minimum: 0 });
const held = closed({
  certificateChainPem: Type.String(),
  privateKeyPem: Type.String(),
  notAfterMs: count,
  serial: Type.String(),
  /** When to ask for the next one. */
  renewAtMs: count,
  /** Of the edge certificate. */
  hosts: Type.Array(Type.String()),
});
const kept = closed({
  name: Type.String(),
  kind: Type.Union([Type.Literal('gateway'), Type.Literal('agent')]),
  trustDomain: Type.String(),
  identity: Type.String(),
  bundleKey: Type.String(),
  /** Digest of the trust anchors under which the point enrolled. */
  anchors: Type.String(),
  /** The last bundle that was in force; no older one may be again. */
  appliedVersion: count,
  appliedDigest: Type.String(),
  identities: Type.Record(Type.String(), held),
});
const keptSchema = compileSchema('state of the point', kept);

export type HeldIdentity = Static<typeof held>;
export type KeptState = Static<typeof kept>;

/** A bundle as control signed it; `damaged` when its file is there and cannot be read. */
export type KeptBundle =
  | { readonly kind: 'none' }
  | { readonly kind: 'kept'; readonly envelope: Envelope }
  | { readonly kind: 'damaged' };

/** Writes a file of mode 0600 as a whole: the former content stays, or the new one is there. */
export type WriteFile = (path: string, bytes: Uint8Array | string) => Promise<void>;

const NAME = 'point state';

/**
 * What a point keeps over a restart: its identities and pinned keys, sealed, and two bundles as control signed them,
 * which are verified anew when they are read: the last one that was in force, and the newest one, which may revoke what
 * the other one does not.
 */
export class PointStore {
  readonly #directory: string;
  readonly #sealer: Sealer;
  readonly #log: Log;
  readonly #anchors: string;
  readonly #name: string;
  readonly #write: WriteFile;
  #latest: KeptState | undefined;
  #queued: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(config: PointConfig, sealer: Sealer, log: Log, write: WriteFile) {
    this.#directory = config.stateDir;
    this.#name = config.name;
    this.#anchors = encodeHex(sha256(config.trustAnchors.join('\n')));
    this.#sealer = sealer;
    this.#log = log;
    this.#write = write;
  }

  /** @throws {SealedError} when the key file is open to others, or is no key */
  static async open(
    config: PointConfig,
    log: Log,
    write: WriteFile = writeFileAtomically,
  ): Promise<PointStore> {
    await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
    const sealer = await openSealer({ keyFile: join(config.stateDir, 'point.key'), whenMissing: 'create' });
    return new PointStore(config, sealer, log, write);
  }

  /** For `KeptState.anchors`. */
  get anchors(): string {
    return this.#anchors;
  }

  /** @returns `undefined` when there is nothing of this point under these roots: it has to enrol */
  async load(): Promise<KeptState | undefined> {
    try {
      const bytes = await this.#sealer.readFile(this.#statePath, NAME);
      if (bytes === undefined) return undefined;
      const state = keptSchema.parse(bytes.toString('utf8'));
      return state.anchors === this.#anchors && state.name === this.#name ? state : undefined;
    } catch (error) {
      if (!(error instanceof SealedError || error instanceof SchemaError)) throw error;
      this.#log.warn('the kept state is of no use; the point enrols anew', { error: error.message });
      return undefined;
    }
  }

  /** The last one that was in force. */
  loadBundle(): Promise<KeptBundle> {
    return this.#loadBundle(this.#bundlePath);
  }

  /** The newest one. */
  loadNewest(): Promise<KeptBundle> {
    return this.#loadBundle(this.#newestPath);
  }

  /** CRASH: write the bundle before the state that names its version: a newer bundle is good, an older one is not. */
  async saveBundle(envelope: Envelope): Promise<void> {
    await this.#write(this.#bundlePath, JSON.stringify(envelope));
  }

  /** CRASH: write it before any other file that knows of it, so that there is never an older one beside them. */
  async saveNewest(envelope: Envelope): Promise<void> {
    await this.#write(this.#newestPath, JSON.stringify(envelope));
  }

  async dropBundles(): Promise<void> {
    await rm(this.#bundlePath, { force: true });
    await rm(this.#newestPath, { force: true });
  }

  /** Resolves once this state, or a later one, is on the disk: while one is being written, only the last waits. */
  save(state: KeptState): Promise<void> {
    this.#latest = state;
    if (this.#queued !== undefined) return this.#queued;
    const written = this.#writing.then(async () => {
      this.#queued = undefined;
      const bytes = Buffer.from(JSON.stringify(this.#latest));
      await this.#write(this.#statePath, this.#sealer.seal(NAME, bytes));
    });
    this.#queued = written;
    this.#writing = written.catch(() => {});
    return written;
  }

  /** Resolves when nothing is being written. */
  async settle(): Promise<void> {
    await this.#writing;
  }

  async #loadBundle(path: string): Promise<KeptBundle> {
    try {
      return { kind: 'kept', envelope: envelopeSchema.parse(await readFile(path, 'utf8')) };
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return { kind: 'none' };
      this.#log.error('a kept bundle is damaged', { path, error: (error as Error).message });
      return { kind: 'damaged' };
    }
  }

  get #statePath(): string {
    return join(this.#directory, 'point.sealed');
  }

  get #bundlePath(): string {
    return join(this.#directory, 'bundle.json');
  }

  get #newestPath(): string {
    return join(this.#directory, 'newest.json');
  }
}
