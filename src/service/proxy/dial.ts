import { X509Certificate } from 'node:crypto';
import { connect as connectTcp, isIP } from 'node:net';
import {
  connect as connectTls,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
} from 'node:tls';
import type { Address } from '#domain/bundle';
import { Peer } from './peer.ts';
import type { Revoked } from './revocation.ts';
import { codeOf, type Dialled } from './upstream-connection.ts';

/** A key pair with its certificate, as a point holds it. */
export type KeyPair = {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly notAfterMs: number;
};

/** Stop using a connection this long before a certificate at one of its ends expires. */
const RETIRE_EARLY_MS = 30_000;
/** Node takes it for TLS as well; its types do not know. */
const HALF_OPEN = { allowHalfOpen: true };
const NEVER = Number.MAX_SAFE_INTEGER;

/** Connects in plaintext: to the service beside an agent, or to an origin on loopback. */
export function dialPlaintext(address: Address): Dialled {
  const socket = connectTcp({ ...address, noDelay: true, allowHalfOpen: true });
  return {
    socket,
    readyEvent: 'connect',
    peer: () => undefined,
    explain: explainTcp,
    retireAtMs: NEVER,
  };
}

export type MutualTls = {
  readonly address: Address;
  /** The SPIFFE ID that must answer, and nobody else of the trust domain. */
  readonly identity: string;
  readonly trustDomain: string;
  readonly context: SecureContext;
  readonly ownNotAfterMs: number;
  /** Read when the peer shows its certificate: it may be revoked while the handshake is under way. */
  readonly revoked: () => Revoked;
};

/** Connects by mTLS to a service of the system, and verifies that it is the one that was meant. */
export function dialMutualTls(target: MutualTls): Dialled {
  let peer: Peer | undefined;
  let fault = '';
  const socket = connectTls({
    ...target.address,
    ...HALF_OPEN,
    secureContext: target.context,
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    // INVARIANT: no `session`: every connection shows the peer's certificate, so that revocation is seen.
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => {
      const revoked = target.revoked();
      const read = Peer.read(new X509Certificate(certificate.raw), target.trustDomain);
      if (typeof read === 'string') fault = read;
      else if (read.identity !== target.identity) fault = `another identity answers: ${read.identity}`;
      else if (revoked.identities.has(read.identity)) fault = 'the identity is revoked';
      else if (revoked.serials.has(read.serial)) fault = 'the certificate is revoked';
      else peer = read;
      return peer === undefined ? new Error(fault) : undefined;
    },
  });
  return {
    socket,
    readyEvent: 'secureConnect',
    peer: () => peer,
    explain: error => (fault === '' ? explainTls(error) : { reason: 'upstream-unverified', detail: fault }),
    get retireAtMs() {
      return Math.min(target.ownNotAfterMs, peer?.notAfterMs ?? NEVER) - RETIRE_EARLY_MS;
    },
  };
}

/** Connects to a public origin, verified by its DNS name against public roots. */
export function dialPublicTls(host: string, port: number, context: SecureContext): Dialled {
  const socket = connectTls({
    host,
    port,
    // RFC 6066 §3: addresses are no names.
    servername: isIP(host) === 0 ? host : '',
    secureContext: context,
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
  });
  return {
    socket,
    readyEvent: 'secureConnect',
    peer: () => undefined,
    explain: explainTls,
    retireAtMs: NEVER,
  };
}

/** The context under which a point calls as one of its identities. */
export function callingContext(keyPair: KeyPair, trustAnchors: readonly string[]): SecureContext {
  return createSecureContext({
    cert: keyPair.certificateChainPem,
    key: keyPair.privateKeyPem,
    ca: [...trustAnchors],
    minVersion: 'TLSv1.3',
  });
}

function explainTcp(error: Error) {
  return { reason: 'upstream-unreachable', detail: codeOf(error) } as const;
}

function explainTls(error: Error) {
  const code = codeOf(error);
  // System errors carry the call that failed; what remains is the verdict of a handshake, ours or the peer's.
  const reachable = !('syscall' in error) && code !== 'ECONNRESET' && code !== 'ENOTFOUND';
  return { reason: reachable ? 'upstream-unverified' : 'upstream-unreachable', detail: code } as const;
}
