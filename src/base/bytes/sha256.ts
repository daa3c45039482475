import { hash } from 'node:crypto';

/** SHA-256 (FIPS 180-4) of `data`; text is hashed as UTF-8. */
export function sha256(data: Uint8Array | string): Buffer {
  return hash('sha256', data, 'buffer');
}
