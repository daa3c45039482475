import { DerError, DerReader, TAG, type DerElement } from './der.ts';

/** What the extensions of a certificate say, as far as SPIFFE's rules look at it (RFC 5280 §4.2.1). */
export type CertificateFacts = {
  /** All names of kind uniformResourceIdentifier, in their order. */
  readonly uris: readonly string[];
  readonly isCa: boolean;
  /** `undefined` without the extension. */
  readonly keyUsage: KeyUsage | undefined;
  /** Object identifiers as DER content in hex; `undefined` without the extension. */
  readonly extendedKeyUsage: readonly string[] | undefined;
};

export type KeyUsage = {
  readonly critical: boolean;
  readonly digitalSignature: boolean;
  readonly keyCertSign: boolean;
  readonly cRLSign: boolean;
};

/** id-kp-serverAuth (1.3.6.1.5.5.7.3.1) and id-kp-clientAuth (…3.2), DER content in hex. */
export const SERVER_AUTH = '2b06010505070301';
export const CLIENT_AUTH = '2b06010505070302';

const OID_KEY_USAGE = '551d0f';
const OID_SUBJECT_ALT_NAME = '551d11';
const OID_BASIC_CONSTRAINTS = '551d13';
const OID_EXTENDED_KEY_USAGE = '551d25';
const URI_NAME = 0x86;
const EXTENSIONS = 0xa3;

/**
 * Reads a certificate's DER. Its text forms, which some libraries offer instead, can be made to show names that are
 * not there (CVE-2021-44532).
 *
 * UNTRUSTED: the bytes come from a peer.
 * @throws {DerError}
 */
export function readCertificateFacts(der: Uint8Array): CertificateFacts {
  const extensions = readExtensions(der);
  const names = extensions.get(OID_SUBJECT_ALT_NAME);
  const usage = extensions.get(OID_KEY_USAGE);
  const constraints = extensions.get(OID_BASIC_CONSTRAINTS);
  const purposes = extensions.get(OID_EXTENDED_KEY_USAGE);
  return {
    uris: names === undefined ? [] : readUris(names.value),
    isCa: constraints !== undefined && readIsCa(constraints.value),
    keyUsage: usage === undefined ? undefined : readKeyUsage(usage.value, usage.critical),
    extendedKeyUsage: purposes === undefined ? undefined : readPurposes(purposes.value),
  };
}

type Extension = { readonly critical: boolean; readonly value: Uint8Array };

function readExtensions(der: Uint8Array): ReadonlyMap<string, Extension> {
  const outer = new DerReader(der);
  const certificate = outer.inside(outer.take(TAG.sequence));
  const fields = certificate.inside(certificate.take(TAG.sequence));
  let found: DerElement | undefined;
  // RFC 5280 §4.1: the extensions are the last field, and the only one with this tag.
  while (!fields.atEnd) {
    const field = fields.next();
    if (field.tag === EXTENSIONS) found = field;
  }
  const extensions = new Map<string, Extension>();
  if (found === undefined) return extensions;
  const wrapper = fields.inside(found);
  const list = wrapper.inside(wrapper.take(TAG.sequence));
  while (!list.atEnd) {
    const entry = list.inside(list.take(TAG.sequence));
    const oid = hex(entry.contentOf(entry.take(TAG.oid)));
    const flag = entry.takeIf(TAG.boolean);
    const value = entry.contentOf(entry.take(TAG.octetString));
    // RFC 5280 §4.2: twice the same extension leaves open which of them counts.
    if (extensions.has(oid)) throw new DerError('damaged', 'an extension occurs twice');
    extensions.set(oid, { critical: flag !== undefined && entry.contentOf(flag)[0] === 0xff, value });
  }
  return extensions;
}

function readUris(value: Uint8Array): string[] {
  const outer = new DerReader(value);
  const names = outer.inside(outer.take(TAG.sequence));
  const uris: string[] = [];
  while (!names.atEnd) {
    const name = names.next();
    if (name.tag === URI_NAME) uris.push(Buffer.from(names.contentOf(name)).toString('latin1'));
  }
  return uris;
}

function readIsCa(value: Uint8Array): boolean {
  const outer = new DerReader(value);
  const fields = outer.inside(outer.take(TAG.sequence));
  const flag = fields.takeIf(TAG.boolean);
  return flag !== undefined && fields.contentOf(flag)[0] !== 0;
}

function readKeyUsage(value: Uint8Array, critical: boolean): KeyUsage {
  const outer = new DerReader(value);
  const [, first = 0] = outer.contentOf(outer.take(TAG.bitString));
  // RFC 5280 §4.2.1.3: bit 0 is digitalSignature, 5 keyCertSign, 6 cRLSign, counted from the most significant.
  return {
    critical,
    digitalSignature: (first & 0x80) !== 0,
    keyCertSign: (first & 0x04) !== 0,
    cRLSign: (first & 0x02) !== 0,
  };
}

function readPurposes(value: Uint8Array): string[] {
  const outer = new DerReader(value);
  const list = outer.inside(outer.take(TAG.sequence));
  const purposes: string[] = [];
  while (!list.atEnd) purposes.push(hex(list.contentOf(list.take(TAG.oid))));
  return purposes;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
