import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import type { X509Certificate } from '@peculiar/x509';
import { assertNever } from '#base/error';
import type { CertificateRecipe } from '#domain/attack';
import type { Model } from '#domain/model';
import { serviceIdentity } from '#domain/spiffe';
import { loadX509Library, type X509Library } from '#service/ca';
import type { Grounds } from './grounds.ts';

/** What a client shows in a handshake. */
export type Shown = { readonly cert: string; readonly key: string };
type Forgery = Extract<CertificateRecipe, { kind: 'forged' }>['forgery'];
type Signer = { readonly certificate: X509Certificate; readonly key: webcrypto.CryptoKey };

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
const HOUR_S = 3_600;
const LIFETIME_S = 900;

/** Makes certificates by recipe: real ones from the authority, and forgeries of them. */
export class CertificateSmith {
  readonly #grounds: Grounds;
  readonly #made = new Map<string, Promise<Shown | undefined>>();

  constructor(grounds: Grounds) {
    this.#grounds = grounds;
  }

  /** @returns `undefined` for no certificate */
  make(recipe: CertificateRecipe): Promise<Shown | undefined> {
    const key = JSON.stringify(recipe);
    let made = this.#made.get(key);
    if (made === undefined) this.#made.set(key, (made = this.#make(recipe)));
    return made;
  }

  async #make(recipe: CertificateRecipe): Promise<Shown | undefined> {
    switch (recipe.kind) {
      case 'none':
        return undefined;
      case 'service':
        return this.#real(recipe.service, { lifetimeSeconds: LIFETIME_S });
      case 'forged':
        return this.#forge(recipe.forgery, recipe.as);
      default:
        return assertNever(recipe);
    }
  }

  async #forge(forgery: Forgery, as: string): Promise<Shown> {
    switch (forgery) {
      case 'expired':
        return this.#real(as, { notBeforeSeconds: -2 * HOUR_S, lifetimeSeconds: HOUR_S });
      case 'not-yet-valid':
        return this.#real(as, { notBeforeSeconds: HOUR_S, lifetimeSeconds: HOUR_S });
      case 'edge-certificate':
        return this.#real('edge', { lifetimeSeconds: LIFETIME_S });
      case 'self-signed':
        return selfSigned(identityOf(this.#grounds.model, as));
      case 'foreign-authority':
        return byForeignAuthority(this.#grounds.model, as);
      case 'leaf-as-authority':
        return this.#byLeaf(as);
      default:
        return assertNever(forgery);
    }
  }

  async #real(
    of: string,
    validity: { readonly notBeforeSeconds?: number; readonly lifetimeSeconds: number },
  ): Promise<Shown> {
    const issued = await this.#grounds.issueCertificate({ of, ...validity });
    return { cert: issued.certificateChainPem, key: issued.privateKeyPem };
  }

  /** A service that was broken into signs an identity for itself: of a neighbour, with its own leaf as authority. */
  async #byLeaf(as: string): Promise<Shown> {
    const x509 = await loadX509Library();
    const neighbour = [...this.#grounds.model.services.keys()].find(name => name !== as) ?? as;
    const own = await this.#real(neighbour, { lifetimeSeconds: LIFETIME_S });
    const key = await importKey(own.key);
    const certificate = new x509.X509Certificate(own.cert.slice(0, own.cert.indexOf('-----END') + 25));
    const leaf = await signLeaf(x509, identityOf(this.#grounds.model, as), { certificate, key });
    return { cert: `${leaf.cert}${own.cert}`, key: leaf.key };
  }
}

async function selfSigned(identity: string): Promise<Shown> {
  const x509 = await loadX509Library();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...common(),
    name: 'CN=self-signed',
    keys: keys.pair,
    extensions: leafExtensions(x509, identity),
  });
  return { cert: `${certificate.toString('pem')}\n`, key: keys.pem };
}

/** An authority that says it is this trust domain's. */
async function byForeignAuthority(model: Model, as: string): Promise<Shown> {
  const x509 = await loadX509Library();
  const { pair } = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...common(),
    name: `O=Ringwall, CN=${model.trustDomain} root authority`,
    keys: pair,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${model.trustDomain}` }]),
    ],
  });
  const leaf = await signLeaf(x509, identityOf(model, as), { certificate, key: pair.privateKey });
  return { cert: `${leaf.cert}${certificate.toString('pem')}\n`, key: leaf.key };
}

async function signLeaf(x509: X509Library, identity: string, issuer: Signer): Promise<Shown> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(),
    subject: 'CN=forged',
    issuer: issuer.certificate.subjectName,
    publicKey: keys.pair.publicKey,
    signingKey: issuer.key,
    extensions: leafExtensions(x509, identity),
  });
  return { cert: `${certificate.toString('pem')}\n`, key: keys.pem };
}

function common() {
  return {
    serialNumber: `40${randomBytes(15).toString('hex')}`,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + LIFETIME_S * 1000),
    signingAlgorithm: SIGNATURE,
  };
}

function leafExtensions(x509: X509Library, identity: string) {
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([serverAuth, clientAuth], false),
    new x509.SubjectAlternativeNameExtension([{ type: 'url', value: identity }], false),
  ];
}

function identityOf(model: Model, service: string): string {
  return serviceIdentity(model.trustDomain, model.services.get(service)?.namespace ?? 'default', service);
}

async function newKeys(): Promise<{ readonly pair: webcrypto.CryptoKeyPair; readonly pem: string }> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return {
    pem,
    pair: {
      privateKey: await importKey(pem),
      publicKey: await webcrypto.subtle.importKey('spki', spki, KEY, true, ['verify']),
    },
  };
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  return webcrypto.subtle.importKey('pkcs8', der, KEY, true, ['sign']);
}
