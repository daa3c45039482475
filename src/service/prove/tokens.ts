import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeBase64Url, encodeBase64Url } from '#base/bytes';
import type { TokenRecipe } from '#domain/attack';
import type { Grounds } from './grounds.ts';
import type { Line } from './write-message.ts';

type Forgery = Extract<TokenRecipe, { kind: 'forged' }>['forgery'];
type Claims = Readonly<Record<string, unknown>>;

/** Users whom the tokens name: several, so that limits per user do not answer for other rings. */
const USERS = 12;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Makes credentials by recipe: real ones from the issuer, and forgeries of them. */
export class TokenSmith {
  readonly #grounds: Grounds;
  readonly #real = new Map<string, Promise<string>>();
  #ownEc: KeyObject | undefined;
  #ownRsa: KeyObject | undefined;
  #keyServer: Promise<Server> | undefined;
  #turn = 0;

  constructor(grounds: Grounds) {
    this.#grounds = grounds;
  }

  /** The `Authorization` lines of a recipe. @param user names the user where it matters, as in bursts */
  async lines(recipe: TokenRecipe, user?: string): Promise<Line[]> {
    switch (recipe.kind) {
      case 'none':
        return [];
      case 'valid':
        return [
          bearer(
            await this.#valid(recipe.scopes, user),
            `<a valid token: ${recipe.scopes.join(' ') || 'no scope'}>`,
          ),
        ];
      case 'forged':
        return this.#forge(recipe.forgery, recipe.scopes);
    }
  }

  async close(): Promise<void> {
    const server = await this.#keyServer;
    server?.close();
    server?.closeAllConnections();
  }

  #valid(scopes: readonly string[], user = `prover-${this.#turn++ % USERS}`): Promise<string> {
    const key = `${user} ${scopes.join(' ')}`;
    let token = this.#real.get(key);
    if (token === undefined) this.#real.set(key, (token = this.#grounds.issueToken({ user, scopes })));
    return token;
  }

  async #forge(forgery: Forgery, scopes: readonly string[]): Promise<Line[]> {
    const shownAs = `<a forged token: ${forgery}>`;
    const one = (token: string) => [bearer(token, shownAs)];
    switch (forgery) {
      case 'expired':
        return one(await this.#grounds.issueToken({ user: 'prover-0', scopes, lifetimeSeconds: -60 }));
      case 'wrong-audience':
        return one(await this.#grounds.issueToken({ user: 'prover-0', scopes, audience: 'somebody-else' }));
      case 'opaque':
        return one(encodeBase64Url(randomBytes(32)));
      case 'empty':
        return [{ name: 'Authorization', value: 'Bearer ' }];
      case 'basic-credentials':
        return [{ name: 'Authorization', value: 'Basic YWRtaW46YWRtaW4=' }];
      case 'twice':
        return [...one(await this.#valid(scopes)), ...one(await this.#valid(scopes))];
      case 'other-key':
      case 'alg-none':
      case 'alg-none-mixed-case':
      case 'hs256-with-public-key':
      case 'other-algorithm':
      case 'signature-stripped':
      case 'signature-flipped':
      case 'signature-padded':
      case 'signature-unused-bits':
      case 'inner-whitespace':
      case 'payload-changed':
      case 'duplicate-claim':
      case 'embedded-jwk':
      case 'jku':
      case 'kid-path':
      case 'kid-injection':
      case 'critical-extension':
      case 'wrong-issuer':
      case 'id-token':
      case 'oversized':
        return one(await this.#counterfeit(forgery, await this.#valid(scopes)));
    }
  }

  /** Another token out of a real one. */
  async #counterfeit(
    forgery: Exclude<
      Forgery,
      'expired' | 'wrong-audience' | 'opaque' | 'empty' | 'basic-credentials' | 'twice'
    >,
    real: string,
  ): Promise<string> {
    const [headerPart = '', payloadPart = '', signature = ''] = real.split('.');
    const header = readPart(headerPart);
    const claims = readPart(payloadPart);
    const keptWith = (changed: string) => `${headerPart}.${payloadPart}.${changed}`;
    switch (forgery) {
      case 'other-key':
        return this.#signEs256(header, claims);
      case 'alg-none':
        return `${part({ ...header, alg: 'none' })}.${payloadPart}.`;
      case 'alg-none-mixed-case':
        return `${part({ ...header, alg: 'nOnE' })}.${payloadPart}.`;
      case 'hs256-with-public-key':
        return signHs256({ ...header, alg: 'HS256' }, claims, await this.#publicKeyPem());
      case 'other-algorithm':
        return this.#signRs256({ ...header, alg: 'RS256' }, claims);
      case 'signature-stripped':
        return keptWith('');
      case 'signature-flipped':
        return keptWith(`${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`);
      case 'signature-padded':
        return keptWith(`${signature}==`);
      case 'signature-unused-bits':
        // The last character of 64 octets carries 2 bits; the other 4 must be zero.
        return keptWith(
          signature.slice(0, -1) + (ALPHABET[ALPHABET.indexOf(signature.slice(-1)) | 1] ?? 'B'),
        );
      case 'inner-whitespace':
        return `${headerPart}.${payloadPart} .${signature}`;
      case 'payload-changed':
        return `${headerPart}.${part({ ...claims, sub: 'admin', scope: 'admin' })}.${signature}`;
      case 'duplicate-claim': {
        const doubled = `${JSON.stringify(claims).slice(0, -1)},"sub":"admin"}`;
        return this.#signText(headerPart, encodeBase64Url(Buffer.from(doubled)));
      }
      case 'embedded-jwk':
        return this.#signEs256({ ...header, jwk: this.#publicJwk() }, claims);
      case 'jku':
        return this.#signEs256({ ...header, jku: await this.#keyServerUrl() }, claims);
      case 'kid-path':
        return signHs256({ ...header, alg: 'HS256', kid: '../../../../../../dev/null' }, claims, '');
      case 'kid-injection':
        return signHs256({ ...header, alg: 'HS256', kid: "x' UNION SELECT 'key'; --" }, claims, 'key');
      case 'critical-extension':
        return this.#signEs256({ ...header, crit: ['exp2'], exp2: true }, claims);
      case 'wrong-issuer':
        return this.#signEs256(header, { ...claims, iss: 'https://issuer.undeclared.test' });
      case 'id-token':
        return this.#signEs256({ ...header, typ: 'JWT' }, { ...claims, nonce: 'n', at_hash: 'x' });
      case 'oversized':
        return this.#signEs256(header, { ...claims, padding: 'a'.repeat(12_000) });
    }
  }

  #signEs256(header: Claims, claims: Claims): string {
    return this.#signText(part(header), part(claims));
  }

  #signText(headerPart: string, payloadPart: string): string {
    const input = `${headerPart}.${payloadPart}`;
    const signature = sign('sha256', Buffer.from(input), { key: this.#ecKey(), dsaEncoding: 'ieee-p1363' });
    return `${input}.${encodeBase64Url(signature)}`;
  }

  #signRs256(header: Claims, claims: Claims): string {
    this.#ownRsa ??= generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const input = `${part(header)}.${part(claims)}`;
    return `${input}.${encodeBase64Url(sign('sha256', Buffer.from(input), this.#ownRsa))}`;
  }

  /** Where the own key can be had by whoever believes a token that names this place. */
  async #keyServerUrl(): Promise<string> {
    this.#keyServer ??= serveKey(this.#publicJwk());
    const { port } = (await this.#keyServer).address() as AddressInfo;
    return `http://127.0.0.1:${port}/jwks.json`;
  }

  #publicJwk() {
    return createPublicKey(this.#ecKey()).export({ format: 'jwk' });
  }

  #ecKey(): KeyObject {
    return (this.#ownEc ??= generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  }

  async #publicKeyPem(): Promise<string> {
    const [key] = await this.#grounds.issuerKeys();
    if (key === undefined) return '';
    return createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString();
  }
}

function signHs256(header: Claims, claims: Claims, secret: string): string {
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

async function serveKey(key: object): Promise<Server> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/jwk-set+json').end(JSON.stringify({ keys: [key] }));
  });
  server.unref().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function bearer(token: string, shownAs: string): Line {
  return { name: 'Authorization', value: `Bearer ${token}`, shownAs: `Bearer ${shownAs}` };
}

function part(value: Claims): string {
  return encodeBase64Url(Buffer.from(JSON.stringify(value)));
}

function readPart(text: string): Claims {
  return JSON.parse(Buffer.from(decodeBase64Url(text) ?? []).toString()) as Claims;
}
