/**
 * The issuer of users' access tokens that local runs start beside Ringwall, so that the verifying path is the real one:
 * discovery, key set and token endpoint over HTTP (RFC 8414, 7517, 6749; tokens per RFC 9068), by oidc-provider.
 *
 * Not for production: loopback and plain HTTP, and services that hold a client secret may name any user. A fleet
 * declares the URL of its own issuer instead. `FakeIssuer` is for tests: it signs whatever it is told to.
 */
export { FakeIssuer } from './fake-issuer.ts';
export type { FakeBehaviour, MintOptions } from './fake-issuer.ts';
export { IssuerError } from './issuer-error.ts';
export { startIssuer } from './local-issuer.ts';
export type { LocalIssuer } from './local-issuer.ts';
export { generateSigningKey } from './signing-key.ts';
export type { SigningKey } from './signing-key.ts';
export { LOCAL_USER_GRANT } from './token-issuer.ts';
export type { IssuedToken, IssuerClient, TokenRequest } from './token-issuer.ts';
