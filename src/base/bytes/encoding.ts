export function encodeBase64(bytes: Uint8Array): string {
  return view(bytes).toString('base64');
}

export function encodeBase64Url(bytes: Uint8Array): string {
  return view(bytes).toString('base64url');
}

export function encodeHex(bytes: Uint8Array): string {
  return view(bytes).toString('hex');
}

/** Decodes padded base64 (RFC 4648 §4); `undefined` when `text` is not the canonical form of any bytes. */
export function decodeBase64(text: string): Uint8Array | undefined {
  return canonical(text, 'base64');
}

/** Decodes unpadded base64url (RFC 4648 §5); `undefined` when `text` is not the canonical form of any bytes. */
export function decodeBase64Url(text: string): Uint8Array | undefined {
  return canonical(text, 'base64url');
}

/** Decodes lowercase hex; `undefined` when `text` is not the canonical form of any bytes. */
export function decodeHex(text: string): Uint8Array | undefined {
  return canonical(text, 'hex');
}

function canonical(text: string, encoding: 'base64' | 'base64url' | 'hex'): Uint8Array | undefined {
  const bytes = Buffer.from(text, encoding);
  // Buffer.from skips what it does not understand; encoding again shows whether it skipped anything.
  return bytes.toString(encoding) === text ? bytes : undefined;
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
