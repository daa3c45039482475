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

const NAME = 'point state';

/**
 * What a point keeps over a restart: its identities and pinned keys, sealed, and the last good bundle as control
 * signed it.
 */
export class PointStore {
  readonly #directory: string;
  readonly #sealer: Sealer;
  readonly #log: Log;
  readonly #anchors: string;
  readonly #name: string;
  #latest: KeptState | undefined;
  #queued: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(config: PointConfig, sealer: Sealer, log: Log) {
    this.#directory = config.stateDir;
    this.#name = config.name;
    this.#anchors = encodeHex(sha256(config.trustAnchors.join('\n')));
    this.#sealer = sealer;
    this.#log = log;
  }

  /** @throws {SealedError} when the key file is open to others, or is no key */
  static async open(config: PointConfig, log: Log): Promise<PointStore> {
    await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
    const sealer = await openSealer({ keyFile: join(config.stateDir, 'point.key'), whenMissing: 'create' });
    return new PointStore(config, sealer, log);
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

  async loadBundle(): Promise<Envelope | undefined> {
    try {
      return envelopeSchema.parse(await readFile(this.#bundlePath, 'utf8'));
    } catch (error) {
      if (!hasCode(error, 'ENOENT'))
        this.#log.error('the kept bundle is damaged', { error: (error as Error).message });
      return undefined;
    }
  }

  /** CRASH: write the bundle before the state that names its version: a newer bundle is good, an older one is not. */
  async saveBundle(envelope: Envelope): Promise<void> {
    await writeFileAtomically(this.#bundlePath, JSON.stringify(envelope));
  }

  async dropBundle(): Promise<void> {
    await rm(this.#bundlePath, { force: true });
  }

  /** Resolves once this state, or a later one, is on the disk: while one is being written, only the last waits. */
  save(state: KeptState): Promise<void> {
    this.#latest = state;
    if (this.#queued !== undefined) return this.#queued;
    const written = this.#writing.then(async () => {
      this.#queued = undefined;
      await this.#sealer.writeFile(this.#statePath, NAME, Buffer.from(JSON.stringify(this.#latest)));
    });
    this.#queued = written;
    this.#writing = written.catch(() => {});
    return written;
  }

  /** Resolves when nothing is being written. */
  async settle(): Promise<void> {
    await this.#writing;
  }

  get #statePath(): string {
    return join(this.#directory, 'point.sealed');
  }

  get #bundlePath(): string {
    return join(this.#directory, 'bundle.json');
  }
}
