import { constants, generateKeyPairSync, sign, type JsonWebKey, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { assertNever } from '#base/error';

type Algorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA';

/** How the issuer answers; `normal` unless a test makes it ill. */
export type FakeBehaviour =
  | { readonly kind: 'normal' }
  | { readonly kind: 'broken'; readonly status: number }
  | { readonly kind: 'hangs' }
  | { readonly kind: 'resets' }
  /** The key set is padded to more than this. */
  | { readonly kind: 'huge'; readonly bytes: number }
  /** The key set is elsewhere. */
  | { readonly kind: 'redirects' }
  | { readonly kind: 'says'; readonly metadata?: object; readonly keySet?: string };

export type MintOptions = {
  /** Added to, or replacing, those of a good token; `undefined` leaves a claim out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  /** Which of its keys signs; default: the latest. */
  readonly kid?: string;
  /** Exact texts, where the encoding itself is what a test is about. */
  readonly headerText?: string;
  readonly payloadText?: string;
};

type PublicKey = JsonWebKey & { readonly kid: string };
type Key = { readonly kid: string; readonly privateKey: KeyObject; readonly publicJwk: PublicKey };

/** An issuer for tests: a real HTTP server that serves discovery and keys, and signs any token, good or evil. */
export class FakeIssuer {
  readonly issuer: string;
  readonly audience = 'fake-audience';
  readonly algorithm: Algorithm;
  behaviour: FakeBehaviour = { kind: 'normal' };
  /** Where its metadata are; every other path but that of the keys is 404. */
  metadataPath = '/.well-known/openid-configuration';
  /** Requests answered so far. */
  metadataRequests = 0;
  keySetRequests = 0;
  readonly #server: Server;
  readonly #nowMs: () => number;
  readonly #rsaBits: number;
  #keys: readonly Key[] = [];
  #published: readonly Key[] = [];
  #nextKey = 1;
  #nextToken = 1;

  private constructor(
    server: Server,
    options: {
      readonly scheme: string;
      readonly algorithm: Algorithm;
      readonly rsaBits: number;
      readonly nowMs: () => number;
    },
  ) {
    this.#server = server;
    this.#nowMs = options.nowMs;
    this.#rsaBits = options.rsaBits;
    this.algorithm = options.algorithm;
    this.issuer = `${options.scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#answer(request, response),
    );
  }

  /** @param options.tls makes it an https issuer */
  static async start(options: {
    readonly nowMs: () => number;
    readonly algorithm?: Algorithm;
    readonly rsaBits?: number;
    readonly tls?: { readonly key: string; readonly cert: string };
  }): Promise<FakeIssuer> {
    const server = options.tls === undefined ? createServer() : createTlsServer(options.tls);
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const fake = new FakeIssuer(server, {
      scheme: options.tls === undefined ? 'http' : 'https',
      algorithm: options.algorithm ?? 'ES256',
      rsaBits: options.rsaBits ?? 2048,
      nowMs: options.nowMs,
    });
    fake.addKey();
    return fake;
  }

  /** Makes a new key, which signs from now on; the earlier ones stay published. */
  addKey(): string {
    const { privateKey, publicKey } = makeKeyPair(this.algorithm, this.#rsaBits);
    const kid = `key-${this.#nextKey++}`;
    const publicJwk = { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: this.algorithm };
    const key = { kid, privateKey, publicJwk };
    this.#keys = [...this.#keys, key];
    this.#published = [...this.#published, key];
    return kid;
  }

  /** No longer publishes the key; it can still sign. */
  withdrawKey(kid: string): void {
    this.#published = this.#published.filter(key => key.kid !== kid);
  }

  get keySet(): { readonly keys: readonly PublicKey[] } {
    return { keys: this.#published.map(key => key.publicJwk) };
  }

  /** Signs a good access token, changed as `options` say. */
  mint(options: MintOptions = {}): string {
    const key =
      options.kid === undefined ? this.#keys.at(-1) : this.#keys.find(({ kid }) => kid === options.kid);
    if (key === undefined) throw new TypeError('the fake issuer has no such key');
    const header = { alg: this.algorithm, typ: 'at+jwt', kid: key.kid, ...options.header };
    const payload = { ...this.goodClaims(), ...options.claims };
    const signed = [
      options.headerText ?? JSON.stringify(header),
      options.payloadText ?? JSON.stringify(payload),
    ]
      .map(part => Buffer.from(part).toString('base64url'))
      .join('.');
    return `${signed}.${signWith(this.algorithm, signed, key.privateKey).toString('base64url')}`;
  }

  goodClaims(): Record<string, unknown> {
    const nowSeconds = Math.floor(this.#nowMs() / 1000);
    return {
      iss: this.issuer,
      aud: this.audience,
      sub: 'alice',
      client_id: 'web',
      scope: 'cart orders',
      jti: `token-${this.#nextToken++}`,
      iat: nowSeconds,
      exp: nowSeconds + 600,
    };
  }

  async close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { behaviour } = this;
    const isKeySet = request.url === '/keys';
    if (isKeySet) this.keySetRequests += 1;
    else this.metadataRequests += 1;

    switch (behaviour.kind) {
      case 'broken':
        response.writeHead(behaviour.status).end();
        return;
      case 'hangs':
        return;
      case 'resets':
        request.socket.destroy();
        return;
      case 'redirects':
        if (isKeySet) response.writeHead(302, { location: `${this.issuer}/elsewhere` }).end();
        else this.#sendMetadata(request, response);
        return;
      case 'huge':
        if (isKeySet) response.end(JSON.stringify({ ...this.keySet, padding: 'x'.repeat(behaviour.bytes) }));
        else this.#sendMetadata(request, response);
        return;
      case 'says':
        if (isKeySet) response.end(behaviour.keySet ?? JSON.stringify(this.keySet));
        else this.#sendMetadata(request, response, behaviour.metadata);
        return;
      case 'normal':
        if (isKeySet || request.url === '/elsewhere') response.end(JSON.stringify(this.keySet));
        else this.#sendMetadata(request, response);
        return;
    }
  }

  #sendMetadata(request: IncomingMessage, response: ServerResponse, changes: object = {}): void {
    if (request.url !== this.metadataPath) {
      response.writeHead(404).end();
      return;
    }
    response.end(JSON.stringify({ issuer: this.issuer, jwks_uri: `${this.issuer}/keys`, ...changes }));
  }
}

function makeKeyPair(
  algorithm: Algorithm,
  rsaBits: number,
): {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
} {
  switch (algorithm) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'EdDSA':
      return generateKeyPairSync('ed25519');
    case 'RS256':
    case 'PS256':
      return generateKeyPairSync('rsa', { modulusLength: rsaBits });
    default:
      return assertNever(algorithm);
  }
}

function signWith(algorithm: Algorithm, text: string, key: KeyObject): Buffer {
  const data = Buffer.from(text);
  switch (algorithm) {
    case 'ES256':
      return sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });
    case 'EdDSA':
      return sign(null, data, key);
    case 'RS256':
      return sign('sha256', data, key);
    case 'PS256':
      return sign('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    default:
      return assertNever(algorithm);
  }
}
