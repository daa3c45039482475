import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Bundle } from '#domain/bundle';
import type { Envelope } from '#domain/dsse';
import { encodeBundleKey, openBundle, sealBundle, type OpenedBundle } from '#service/link';
import type { Sealer } from '#service/sealed';

const NAME = 'bundle key';

/** Control's Ed25519 key, which points pin when they enrol. */
export class BundleSigner {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  private constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    this.#publicKey = createPublicKey(privateKey);
  }

  /** Opens the sealed key in `path`, or makes one when there is none. */
  static async open(path: string, sealer: Sealer): Promise<BundleSigner> {
    const kept = await sealer.readFile(path, NAME);
    if (kept !== undefined)
      return new BundleSigner(createPrivateKey({ key: kept, format: 'der', type: 'pkcs8' }));
    const { privateKey } = generateKeyPairSync('ed25519');
    await sealer.writeFile(path, NAME, privateKey.export({ format: 'der', type: 'pkcs8' }));
    return new BundleSigner(privateKey);
  }

  /** For points to pin. */
  get publicKey(): string {
    return encodeBundleKey(this.#publicKey);
  }

  seal(bundle: Bundle): { readonly envelope: Envelope; readonly digest: string } {
    return sealBundle(bundle, this.#privateKey);
  }

  open(envelope: Envelope): OpenedBundle {
    return openBundle(envelope, this.#publicKey);
  }
}
