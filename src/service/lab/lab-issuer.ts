import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import type { BundleIssuer } from '#domain/bundle';

type Claims = {
  readonly sub?: string;
  readonly scope?: string;
  readonly client_id?: string;
  readonly lifetimeS?: number;
  readonly audience?: string;
};

/** An OpenID provider that has one key and signs whatever it is asked to. */
export class LabIssuer {
  readonly url: string;
  readonly audience = 'lab';
  readonly #server: Server;
  readonly #key: CryptoKey;
  readonly publicKey: CryptoKey;

  private constructor(server: Server, url: string, key: CryptoKey, publicKey: CryptoKey) {
    this.publicKey = publicKey;
    this.#server = server;
    this.url = url;
    this.#key = key;
  }

  static async start(): Promise<LabIssuer> {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'lab', alg: 'ES256', use: 'sig' };
    let url = '';
    const server = createServer((request, response) => {
      const documents: Readonly<Record<string, unknown>> = {
        '/.well-known/openid-configuration': { issuer: url, jwks_uri: `${url}/jwks` },
        '/jwks': { keys: [jwk] },
      };
      const document = documents[request.url ?? ''];
      response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(document ?? {}));
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return new LabIssuer(server, url, privateKey, publicKey);
  }

  get bundleIssuer(): BundleIssuer {
    return { name: 'lab', issuer: this.url, audience: this.audience, algorithm: 'ES256' };
  }

  /** The key, for forgeries. */
  get key(): CryptoKey {
    return this.#key;
  }

  /** An access token (RFC 9068). @param claims.lifetimeS negative: it has expired */
  token(claims: Claims = {}): Promise<string> {
    const nowS = Math.floor(Date.now() / 1000);
    const {
      sub = 'alice',
      scope = '',
      client_id = 'web',
      lifetimeS = 3600,
      audience = this.audience,
    } = claims;
    return new SignJWT({ scope, client_id, jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'lab' })
      .setIssuer(this.url)
      .setAudience(audience)
      .setSubject(sub)
      .setIssuedAt(nowS - 60)
      .setExpirationTime(nowS + lifetimeS)
      .sign(this.#key);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
