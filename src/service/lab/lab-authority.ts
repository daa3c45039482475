import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '#base/clock';
import { silentLog } from '#base/log';
import { encodeCertificateRequest } from '#domain/x509';
import { openAuthority, type Authority, type Validity } from '#service/ca';
import type { Identities, SvidKeyPair } from '#service/point';
import { openSealer } from '#service/sealed';

const DAY: Validity = { kind: 'lifetime', lifetimeMs: 86_400_000 };

/** A certificate authority for one test, with the real rules. */
export class LabAuthority {
  readonly trustDomain: string;
  readonly #authority: Authority;

  private constructor(authority: Authority) {
    this.#authority = authority;
    this.trustDomain = authority.trustDomain;
  }

  static async open(trustDomain: string, clock: Clock = systemClock): Promise<LabAuthority> {
    const directory = await mkdtemp(join(tmpdir(), 'ringwall-lab-'));
    try {
      const sealer = await openSealer({ keyFile: join(directory, 'key'), whenMissing: 'create' });
      return new LabAuthority(await openAuthority({ directory, sealer, trustDomain, clock, log: silentLog }));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  get trustAnchors(): readonly string[] {
    return this.#authority.trustAnchors;
  }

  /** An X.509-SVID with its key. */
  async identity(identity: string, validity: Validity = DAY): Promise<SvidKeyPair> {
    const { requestPem, privateKeyPem } = makeRequest();
    const issued = await this.#authority.issueIdentity({ requestPem, identity, validity });
    return { ...issued, privateKeyPem };
  }

  /** A server certificate for hosts of the edge. */
  async server(dnsNames: readonly string[], validity: Validity = DAY): Promise<SvidKeyPair> {
    const { requestPem, privateKeyPem } = makeRequest();
    const issued = await this.#authority.issueServer({
      requestPem,
      dnsNames,
      addresses: ['127.0.0.1'],
      validity,
    });
    return { ...issued, privateKeyPem };
  }
}

/** Identities as a point holds them; exchange them at will. */
export class LabIdentities implements Identities {
  readonly trustAnchors: readonly string[];
  readonly held = new Map<string, SvidKeyPair>();

  constructor(trustAnchors: readonly string[]) {
    this.trustAnchors = trustAnchors;
  }

  current(name: string): SvidKeyPair | undefined {
    return this.held.get(name);
  }
}

function makeRequest(): { readonly requestPem: string; readonly privateKeyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return {
    requestPem: encodeCertificateRequest(spki, bytes => sign('sha256', bytes, privateKey)),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
