import { decodeBase64, encodeBase64 } from '#base/bytes';
import { closed, compileSchema, Type, type Static } from '#base/schema';
import { encodePae } from './pae.ts';

/** The shape of an envelope, for messages that carry one. */
export const envelopeType = closed({
  payloadType: Type.String({ minLength: 1, maxLength: 256 }),
  /** Base64 of the payload's bytes. */
  payload: Type.String(),
  signatures: Type.Array(
    closed({ keyid: Type.String({ maxLength: 256 }), sig: Type.String({ maxLength: 8192 }) }),
    {
      minItems: 1,
      maxItems: 8,
    },
  ),
});

/** A DSSE envelope in its JSON form (DSSE v1.0.2, envelope.md). */
export type Envelope = Static<typeof envelopeType>;

export const envelopeSchema = compileSchema('DSSE envelope', envelopeType);

export type EnvelopeFault = 'wrong-payload-type' | 'unknown-key' | 'bad-encoding' | 'bad-signature';

export type EnvelopeVerdict =
  | { readonly kind: 'verified'; readonly payload: Uint8Array }
  | { readonly kind: 'refused'; readonly fault: EnvelopeFault };

/** Signs `payload` together with its type. */
export function sealEnvelope(options: {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly keyId: string;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
}): Envelope {
  const sig = encodeBase64(options.sign(encodePae(options.payloadType, options.payload)));
  return {
    payloadType: options.payloadType,
    payload: encodeBase64(options.payload),
    signatures: [{ keyid: options.keyId, sig }],
  };
}

/**
 * Gives the payload of an envelope that the key `keyId` signed. DSSE leaves key ids as a hint; here the one expected
 * key is known, so that signatures under other ids are not looked at.
 *
 * UNTRUSTED: nothing in the payload may be read before this answers `verified`.
 */
export function openEnvelope(
  envelope: Envelope,
  expected: {
    readonly payloadType: string;
    readonly keyId: string;
    readonly verify: (bytes: Uint8Array, signature: Uint8Array) => boolean;
  },
): EnvelopeVerdict {
  if (envelope.payloadType !== expected.payloadType) return { kind: 'refused', fault: 'wrong-payload-type' };
  const signature = envelope.signatures.find(({ keyid }) => keyid === expected.keyId);
  if (signature === undefined) return { kind: 'refused', fault: 'unknown-key' };
  const payload = decodeBase64(envelope.payload);
  const sig = decodeBase64(signature.sig);
  if (payload === undefined || sig === undefined) return { kind: 'refused', fault: 'bad-encoding' };
  if (!expected.verify(encodePae(envelope.payloadType, payload), sig))
    return { kind: 'refused', fault: 'bad-signature' };
  return { kind: 'verified', payload };
}
