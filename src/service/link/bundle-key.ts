import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { encodeHex, sha256 } from '#base/bytes';
import { bundleSchema, type Bundle } from '#domain/bundle';
import { openEnvelope, sealEnvelope, type Envelope, type EnvelopeFault } from '#domain/dsse';

const PAYLOAD_TYPE = 'application/vnd.ringwall.bundle+json';

/** A bundle by its names; version 0 stands for none. */
export type BundleRef = { readonly version: number; readonly digest: string };

export type OpenedBundle =
  | { readonly kind: 'opened'; readonly bundle: Bundle; readonly digest: string }
  | { readonly kind: 'refused'; readonly fault: EnvelopeFault | 'wrong-shape'; readonly message: string };

/** Signs a bundle with control's Ed25519 key. `digest`, of the payload, is the bundle's name. */
export function sealBundle(
  bundle: Bundle,
  privateKey: KeyObject,
): { readonly envelope: Envelope; readonly digest: string } {
  const payload = Buffer.from(JSON.stringify(bundle));
  const envelope = sealEnvelope({
    payloadType: PAYLOAD_TYPE,
    payload,
    keyId: bundleKeyId(createPublicKey(privateKey)),
    sign: bytes => sign(null, bytes, privateKey),
  });
  return { envelope, digest: digestOf(payload) };
}

/** Reads a bundle, once the signature of the pinned key is verified. */
export function openBundle(envelope: Envelope, publicKey: KeyObject): OpenedBundle {
  const verdict = openEnvelope(envelope, {
    payloadType: PAYLOAD_TYPE,
    keyId: bundleKeyId(publicKey),
    verify: (bytes, signature) => verify(null, bytes, publicKey, signature),
  });
  if (verdict.kind === 'refused') {
    return {
      kind: 'refused',
      fault: verdict.fault,
      message: 'the bundle is not signed by the key of control',
    };
  }
  try {
    const bundle = bundleSchema.parse(Buffer.from(verdict.payload).toString('utf8'));
    return { kind: 'opened', bundle, digest: digestOf(verdict.payload) };
  } catch (error) {
    return { kind: 'refused', fault: 'wrong-shape', message: (error as Error).message };
  }
}

export function encodeBundleKey(publicKey: KeyObject): string {
  return publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
}

/** @returns `undefined` when the text is not an Ed25519 key */
export function decodeBundleKey(text: string): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(text, 'base64'), type: 'spki', format: 'der' });
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}

function bundleKeyId(publicKey: KeyObject): string {
  return `sha256:${encodeHex(sha256(publicKey.export({ type: 'spki', format: 'der' })))}`;
}

function digestOf(payload: Uint8Array): string {
  return `sha256:${encodeHex(sha256(payload))}`;
}
