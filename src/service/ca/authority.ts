import { createPrivateKey, X509Certificate as ParsedCertificate, type webcrypto } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Name } from '@peculiar/asn1-x509';
import { CodedError, quote } from '#base/error';
import { closed, compileSchema, Type, type Static } from '#base/schema';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { authorityFault, authorityTrustDomain, certificateSerial } from '#domain/x509';
import { writeFileAtomically, type Sealer } from '#service/sealed';
import {
  CertificateMaker,
  importSigningKey,
  makeLeaf,
  type SigningIssuer,
  type SigningPair,
} from './certificates.ts';
import type { LeafNames } from './leaf-certificate.ts';
import { readRequest } from './read-request.ts';
import { loadX509Library, type X509Library } from './x509-library.ts';

export class AuthorityError extends CodedError<
  'other-trust-domain' | 'root-expired' | 'damaged' | 'bad-validity'
> {}

export type IssuedCertificate = {
  /** Leaf first, then the issuing intermediate; without the root. */
  readonly certificateChainPem: string;
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
};

/** The certificate authority of one trust domain. */
export interface Authority {
  readonly trustDomain: string;
  /** PEM certificates of the roots. */
  readonly trustAnchors: readonly string[];
  /**
   * An X.509-SVID for the key of a request. The caller has decided that it is due.
   *
   * @param order.commonName a name for people and for control, beside the SPIFFE ID
   * @throws {RequestError} when the request is malformed or not signed by its own key
   */
  issueIdentity(order: {
    readonly requestPem: string;
    readonly identity: string;
    readonly commonName?: string;
    readonly validity: Validity;
  }): Promise<IssuedCertificate>;
  /**
   * A server certificate for the hosts of the edge; it is nobody's identity.
   *
   * @throws {RequestError}
   */
  issueServer(order: {
    readonly requestPem: string;
    readonly dnsNames: readonly string[];
    readonly addresses: readonly string[];
    readonly validity: Validity;
  }): Promise<IssuedCertificate>;
}

export type Validity =
  /** From a minute ago, for clocks that differ. */
  | { readonly kind: 'lifetime'; readonly lifetimeMs: number }
  | { readonly kind: 'between'; readonly notBeforeMs: number; readonly notAfterMs: number };

const ROOT_LIFETIME_MS = 3650 * 86_400_000;
const ISSUING_LIFETIME_MS = 365 * 86_400_000;
const ISSUING_RENEWAL_MS = 30 * 86_400_000;
const RENEWAL_RETRY_MS = 60_000;
const BACKDATE_MS = 60_000;

const ROOT_NAME = 'certificate authority: root';
const ISSUING_NAME = 'certificate authority: issuing';

const sealedRoot = closed({ certificatePem: Type.String(), privateKey: Type.String() });
const sealedRootSchema = compileSchema('sealed root', sealedRoot);
const sealedIssuing = closed({
  certificatePem: Type.String(),
  privateKey: Type.String(),
  rootPem: Type.String(),
});
const sealedIssuingSchema = compileSchema('sealed issuing authority', sealedIssuing);
type SealedIssuing = Static<typeof sealedIssuing>;

/**
 * Opens the authority that is kept in `directory`, or makes one when there is none.
 *
 * CRASH: the root is sealed before the intermediate that it signs. A start that finds a root alone signs a new
 * intermediate; the trust anchors stay.
 *
 * @throws {SealedError} when the keys do not open
 * @throws {AuthorityError} when what is kept is another trust domain's, damaged, or past its time
 */
export async function openAuthority(options: {
  readonly directory: string;
  readonly sealer: Sealer;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Log;
}): Promise<Authority> {
  const x509 = await loadX509Library();
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const authority = new SealedAuthority(x509, options);
  await authority.open();
  return authority;
}

type Issuing = SigningIssuer & { readonly pem: string; readonly notAfterMs: number };

class SealedAuthority implements Authority {
  readonly trustDomain: string;
  readonly #x509: X509Library;
  readonly #maker: CertificateMaker;
  readonly #directory: string;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #log: Log;
  #rootPem = '';
  #issuing: Issuing | undefined;
  #renewal: Promise<void> | undefined;
  #renewAfterMs = 0;

  constructor(x509: X509Library, options: Parameters<typeof openAuthority>[0]) {
    this.#x509 = x509;
    this.#maker = new CertificateMaker(x509);
    this.trustDomain = options.trustDomain;
    this.#directory = options.directory;
    this.#sealer = options.sealer;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  get trustAnchors(): readonly string[] {
    return [this.#rootPem];
  }

  async open(): Promise<void> {
    const kept = await this.#sealer.readFile(join(this.#directory, 'issuing.sealed'), ISSUING_NAME);
    if (kept === undefined) {
      await this.#renewIssuing();
    } else {
      this.#useIssuing(sealedIssuingSchema.parse(kept.toString('utf8')));
    }
    this.#checkRoot();
    // For people and other programs to read. What Ringwall itself trusts comes out of the sealed files.
    await writeFileAtomically(join(this.#directory, 'root.pem'), this.#rootPem);
  }

  async issueIdentity(order: Parameters<Authority['issueIdentity']>[0]): Promise<IssuedCertificate> {
    const { requestPem, identity, commonName, validity } = order;
    return this.#issue(requestPem, { kind: 'identity', identity, commonName }, validity);
  }

  async issueServer(order: Parameters<Authority['issueServer']>[0]): Promise<IssuedCertificate> {
    const { requestPem, dnsNames, addresses, validity } = order;
    return this.#issue(requestPem, { kind: 'server', dnsNames, addresses }, validity);
  }

  async #issue(requestPem: string, names: LeafNames, validity: Validity): Promise<IssuedCertificate> {
    const publicKey = readRequest(requestPem);
    const issuing = await this.#currentIssuing();
    const nowMs = this.#clock.nowMs();
    const span =
      validity.kind === 'between'
        ? { notBeforeMs: wholeSeconds(validity.notBeforeMs), notAfterMs: wholeSeconds(validity.notAfterMs) }
        : {
            notBeforeMs: wholeSeconds(nowMs - BACKDATE_MS),
            notAfterMs: wholeSeconds(nowMs + validity.lifetimeMs),
          };
    if (span.notAfterMs <= span.notBeforeMs || span.notAfterMs > issuing.notAfterMs) {
      throw new AuthorityError(
        'bad-validity',
        'a certificate must end after it begins, and before its issuer',
      );
    }
    const { pem, serial } = makeLeaf(issuing, publicKey, names, span);
    return { certificateChainPem: pem + issuing.pem, serial, ...span };
  }

  async #currentIssuing(): Promise<Issuing> {
    const issuing = this.#issuing;
    if (issuing !== undefined && issuing.notAfterMs - this.#clock.nowMs() > ISSUING_RENEWAL_MS)
      return issuing;
    if (issuing === undefined || this.#clock.nowMs() >= this.#renewAfterMs) {
      this.#renewal ??= this.#renewIssuing().finally(() => (this.#renewal = undefined));
      try {
        await this.#renewal;
      } catch (error) {
        if (issuing === undefined) throw error;
        // The old one lasts for days yet: a disk that is full must not end the identities of the system before that.
        this.#renewAfterMs = this.#clock.nowMs() + RENEWAL_RETRY_MS;
        this.#log.error('the issuing certificate was not renewed', {
          error: (error as Error).message,
          notAfter: new Date(issuing.notAfterMs).toISOString(),
        });
      }
    }
    if (this.#issuing === undefined)
      throw new AuthorityError('damaged', 'the issuing authority is not there');
    return this.#issuing;
  }

  /** The one place where the root's key is in memory. */
  async #renewIssuing(): Promise<void> {
    const { pair: root, pem: rootPem } = await this.#openOrMakeRoot();
    const nowMs = this.#clock.nowMs();
    const notAfterMs = Math.min(nowMs + ISSUING_LIFETIME_MS, root.certificate.notAfter.getTime());
    if (notAfterMs - nowMs <= ISSUING_RENEWAL_MS) {
      throw new AuthorityError(
        'root-expired',
        'the root certificate is past its time or within 30 days of it',
      );
    }
    const { certificate, keys } = await this.#maker.makeIntermediate(this.trustDomain, root, {
      notBeforeMs: wholeSeconds(nowMs - BACKDATE_MS),
      notAfterMs: wholeSeconds(notAfterMs),
    });
    const issuing: SealedIssuing = {
      certificatePem: `${certificate.toString('pem')}\n`,
      privateKey: await exportKey(keys.privateKey),
      rootPem,
    };
    await this.#sealer.writeFile(
      join(this.#directory, 'issuing.sealed'),
      ISSUING_NAME,
      Buffer.from(JSON.stringify(issuing)),
    );
    this.#useIssuing(issuing);
    this.#log.info('signed a new issuing certificate', { notAfter: certificate.notAfter.toISOString() });
  }

  async #openOrMakeRoot(): Promise<{ pair: SigningPair; pem: string }> {
    const path = join(this.#directory, 'root.sealed');
    const kept = await this.#sealer.readFile(path, ROOT_NAME);
    if (kept !== undefined) {
      const { certificatePem, privateKey } = sealedRootSchema.parse(kept.toString('utf8'));
      const certificate = new this.#x509.X509Certificate(certificatePem);
      return {
        pair: { certificate, key: await importSigningKey(Buffer.from(privateKey, 'base64')) },
        pem: certificatePem,
      };
    }
    const nowMs = this.#clock.nowMs();
    const { certificate, keys } = await this.#maker.makeRoot(this.trustDomain, {
      notBeforeMs: wholeSeconds(nowMs - BACKDATE_MS),
      notAfterMs: wholeSeconds(nowMs + ROOT_LIFETIME_MS),
    });
    const pem = `${certificate.toString('pem')}\n`;
    const root = { certificatePem: pem, privateKey: await exportKey(keys.privateKey) };
    await this.#sealer.writeFile(path, ROOT_NAME, Buffer.from(JSON.stringify(root)));
    this.#log.info('made a root certificate', { trustDomain: this.trustDomain });
    return { pair: { certificate, key: keys.privateKey }, pem };
  }

  #useIssuing({ certificatePem, privateKey, rootPem }: SealedIssuing): void {
    const certificate = new this.#x509.X509Certificate(certificatePem);
    const { keyId } = certificate.getExtension(this.#x509.SubjectKeyIdentifierExtension) ?? {};
    if (keyId === undefined) throw new AuthorityError('damaged', 'the issuing certificate names no key');
    this.#issuing = {
      name: AsnConvert.parse(certificate.subjectName.toArrayBuffer(), Name),
      keyId: Buffer.from(keyId, 'hex'),
      key: createPrivateKey({ key: Buffer.from(privateKey, 'base64'), format: 'der', type: 'pkcs8' }),
      pem: certificatePem,
      notAfterMs: certificate.notAfter.getTime(),
    };
    this.#rootPem = rootPem;
  }

  #checkRoot(): void {
    const root = new ParsedCertificate(this.#rootPem);
    const trustDomain = authorityTrustDomain(root);
    if (trustDomain !== this.trustDomain) {
      throw new AuthorityError(
        'other-trust-domain',
        `the authority in this state directory is that of ${quote(trustDomain ?? '')}, not of ${quote(this.trustDomain)}`,
      );
    }
    const issuing = new ParsedCertificate(this.#issuing?.pem ?? '');
    if (authorityFault(root) !== undefined || !issuing.verify(root.publicKey)) {
      throw new AuthorityError('damaged', 'the issuing certificate is not signed by the root certificate');
    }
    this.#log.debug('authority is open', {
      root: certificateSerial(root),
      issuing: certificateSerial(issuing),
    });
  }
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return Buffer.from(await crypto.subtle.exportKey('pkcs8', key)).toString('base64');
}

/** Certificates carry whole seconds (RFC 5280 §4.1.2.5). */
function wholeSeconds(timeMs: number): number {
  return Math.floor(timeMs / 1000) * 1000;
}
