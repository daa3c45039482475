import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';

/** An ECDSA P-256 key pair as a private JWK (RFC 7517). A secret: whoever stores it seals it. */
export type SigningKey = {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
  readonly d: string;
  /** Its RFC 7638 thumbprint. */
  readonly kid: string;
};

/** Makes a new key for signing ES256 tokens. */
export async function generateSigningKey(): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const { x, y, d } = await exportJWK(privateKey);
  if (x === undefined || y === undefined || d === undefined)
    throw new TypeError('the new key has no coordinates');
  const kid = await calculateJwkThumbprint({ kty: 'EC', crv: 'P-256', x, y });
  return { kty: 'EC', crv: 'P-256', x, y, d, kid };
}
