import type { X509Certificate } from 'node:crypto';
import { certificateSerial, peerIdentity } from '#domain/x509';

/**
 * The other end of an mTLS connection, its chain verified by the TLS handshake and its leaf read as an X.509-SVID.
 * Only `readPeer` makes one.
 */
export class Peer {
  readonly kind = 'peer';
  /** SPIFFE ID. */
  readonly identity: string;
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  readonly notAfterMs: number;

  private constructor(identity: string, serial: string, notAfterMs: number) {
    this.identity = identity;
    this.serial = serial;
    this.notAfterMs = notAfterMs;
  }

  /**
   * Reads a leaf that the handshake has verified against the trust anchors (X509-SVID §5.2).
   * @returns the peer, or what is wrong with its certificate
   */
  static read(certificate: X509Certificate, trustDomain: string): Peer | string {
    const verdict = peerIdentity(certificate);
    if (verdict.kind === 'refused') return verdict.fault;
    if (verdict.trustDomain !== trustDomain) return 'other-trust-domain';
    return new Peer(verdict.id, certificateSerial(certificate), certificate.validToDate.getTime());
  }
}
