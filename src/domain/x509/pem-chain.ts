const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\r\n]{1,32768}-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, each as PEM of its own, in their order; other blocks are left out. */
export function splitPemChain(pem: string): string[] {
  return (pem.match(BLOCK) ?? []).map(block => `${block}\n`);
}
