import { compactVerify, errors } from 'jose';
import type { TokenAlgorithm, VerificationKey } from './key-set.ts';

/**
 * Whether `key` signed the compact JWS `text` with `algorithm`.
 *
 * INVARIANT: `text` has passed `parseJws`, which is stricter than jose about its form.
 */
export async function signatureVerifies(
  text: string,
  key: VerificationKey,
  algorithm: TokenAlgorithm,
): Promise<'good' | 'forged' | 'error'> {
  try {
    await compactVerify(text, key.key, { algorithms: [algorithm] });
    return 'good';
  } catch (error) {
    return error instanceof errors.JWSSignatureVerificationFailed ? 'forged' : 'error';
  }
}
