import type * as x509 from '@peculiar/x509';

export type X509Library = typeof x509;

/** Loads @peculiar/x509, at first use: it takes 20 MB, and only control issues certificates. */
export async function loadX509Library(): Promise<X509Library> {
  // Its dependency container refuses to load without the metadata reflection API.
  await import('reflect-metadata');
  return import('@peculiar/x509');
}
