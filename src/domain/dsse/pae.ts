/**
 * The bytes that a DSSE signature covers: type and body, each behind its length, so that no two pairs of them give the
 * same bytes (DSSE v1.0.2, protocol.md, "PAE").
 */
export function encodePae(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.byteLength} `),
    type,
    Buffer.from(` ${payload.byteLength} `),
    payload,
  ]);
}
