import { quote } from '#base/error';
import { isJsonObject, member, parseStrictJson } from '#domain/jwt';
import { fetchText, requireSecure, type FetchOptions } from './fetch-text.ts';
import { IdentityError } from './identity-error.ts';

const MAX_DEPTH = 16;

/**
 * Finds where an issuer publishes its keys: OpenID Connect Discovery 1.0 §4, else RFC 8414 §3.
 *
 * @throws {IdentityError} `issuer-metadata` when neither document names this very issuer, or what fetching threw
 */
export async function discoverKeys(issuer: string, options: FetchOptions): Promise<URL> {
  const [openid, oauth] = metadataUrls(issuer);
  let text: string;
  try {
    text = await fetchText(openid, options);
  } catch (error) {
    if (!(error instanceof IdentityError && error.code === 'issuer-status')) throw error;
    text = await fetchText(oauth, options);
  }
  return readMetadata(issuer, text);
}

function metadataUrls(issuer: string): readonly [openid: URL, oauth: URL] {
  const base = URL.canParse(issuer) ? new URL(issuer) : undefined;
  if (
    base === undefined ||
    base.search !== '' ||
    base.hash !== '' ||
    base.username !== '' ||
    base.password !== ''
  ) {
    throw new IdentityError(
      'issuer-metadata',
      `issuer ${quote(issuer)} is not a URL without query and fragment`,
    );
  }
  requireSecure(base);
  const path = base.pathname.replace(/\/$/, '');
  return [
    new URL(`${path}/.well-known/openid-configuration`, base),
    new URL(`/.well-known/oauth-authorization-server${path}`, base),
  ];
}

function readMetadata(issuer: string, text: string): URL {
  const json = parseStrictJson(text, MAX_DEPTH);
  if (json.kind === 'refused' || !isJsonObject(json.value)) {
    throw new IdentityError('issuer-metadata', `the metadata of ${quote(issuer)} are not a JSON object`);
  }
  // RFC 8414 §3.3: compared exactly, else one issuer could speak for another.
  if (member(json.value, 'issuer') !== issuer) {
    throw new IdentityError('issuer-metadata', `the metadata of ${quote(issuer)} name another issuer`);
  }
  const location = member(json.value, 'jwks_uri');
  if (typeof location !== 'string' || !URL.canParse(location)) {
    throw new IdentityError('issuer-metadata', `the metadata of ${quote(issuer)} have no "jwks_uri"`);
  }
  const url = new URL(location);
  requireSecure(url);
  if (issuer.startsWith('https:') && url.protocol !== 'https:') {
    throw new IdentityError('insecure-url', `the metadata of ${quote(issuer)} send from https to http`);
  }
  return url;
}
