import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { quote } from '#base/error';
import { partIdentity } from '#domain/spiffe';
import { authorityTrustDomain, peerIdentity } from '#domain/x509';
import type { PointConfig } from './point-config.ts';
import { PointError } from './point-error.ts';
import type { SvidKeyPair } from './point-host.ts';

const CONNECT_TIMEOUT_MS = 5000;

/**
 * The trust domain that the configured roots are of.
 *
 * @throws {PointError} `bad-trust-anchors`
 */
export function trustDomainOf(config: PointConfig): string {
  const trustDomains = new Set(config.trustAnchors.map(readTrustDomain));
  const [trustDomain, ...more] = trustDomains;
  if (trustDomain === undefined || more.length > 0) {
    throw new PointError(
      'bad-trust-anchors',
      'the trust anchors must be root certificates of one SPIFFE trust domain',
    );
  }
  return trustDomain;
}

/**
 * Opens a TLS 1.3 connection to control, which must show the identity `…/ns/ringwall/sa/control` under the roots.
 *
 * @param identity the point's own; without one it can enrol only
 * @throws {PointError} `unreachable` or `not-control`
 */
export async function connectControl(
  config: PointConfig,
  identity: SvidKeyPair | undefined,
): Promise<TLSSocket> {
  const expected = partIdentity(trustDomainOf(config), 'control');
  const { host, port } = config.control;
  const socket = connect({
    host,
    port,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ca: [...config.trustAnchors],
    minVersion: 'TLSv1.3',
    // Instead of a host name, control has an identity.
    checkServerIdentity: (_host, { raw }) => {
      const verdict = peerIdentity(new X509Certificate(raw));
      if (verdict.kind === 'identity' && verdict.id === expected) return undefined;
      return new PointError('not-control', `who answers at ${quote(`${host}:${port}`)} is not control`);
    },
    ...(identity === undefined ? {} : { cert: identity.certificateChainPem, key: identity.privateKeyPem }),
  });
  socket.setNoDelay(true);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => socket.destroy(new PointError('unreachable', 'control does not answer')),
    CONNECT_TIMEOUT_MS,
  );
  socket.once('secureConnect', resolve);
  socket.once('error', reject);
  socket.once('close', () => reject(new PointError('unreachable', 'control ended the connection')));
  try {
    await promise;
  } catch (error) {
    socket.destroy();
    if (error instanceof PointError) throw error;
    throw new PointError('unreachable', `control is not reached: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
  socket.removeListener('error', reject);
  return socket;
}

function readTrustDomain(pem: string): string | undefined {
  try {
    return authorityTrustDomain(new X509Certificate(pem));
  } catch {
    return undefined;
  }
}
