import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Clock } from '#base/clock';
import { CodedError, hasCode, quote } from '#base/error';
import type { Log } from '#base/log';
import type { Address } from '#domain/bundle';
import { partIdentity } from '#domain/spiffe';
import { certificateSerial, peerIdentity } from '#domain/x509';
import type { Authority } from '#service/ca';
import { createKeyRequest, enrolSchema, LineChannel, type ControlMessage } from '#service/link';
import type { JoinTokens, PointName } from './join-tokens.ts';
import { PointSession, type PeerCertificate, type SessionDuties } from './point-session.ts';

/** Why a connection at the points' port was ended. */
export class PointServerError extends CodedError<'port-taken' | 'no-such-address' | 'not-a-point'> {}

export type PointServerOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  /** Ed25519 public key that points pin. */
  readonly bundleKey: string;
  readonly certificateLifetimeMs: number;
  readonly isSerialRevoked: (serial: string) => boolean;
  readonly duties: SessionDuties;
  readonly enrolled: (point: PointName) => void;
  readonly connected: (session: PointSession) => void;
  readonly disconnected: (session: PointSession) => void;
  readonly clock: Clock;
  readonly log: Log;
};

const MAX_CONNECTIONS = 4096;
const MAX_STRANGERS = 256;
const STRANGER_TIMEOUT_MS = 10_000;
const MAX_ENROLMENT_BYTES = 16 * 1024;
const RENEWAL_RETRY_MS = 60_000;

/**
 * Where points come to control: TLS 1.3, with the point's X.509-SVID for its stream, without a certificate for the one
 * exchange that gives it one.
 */
export class PointServer {
  readonly #options: PointServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  /** Connections that have shown neither a point's certificate nor a good token, the oldest first. */
  readonly #strangers = new Map<string, Socket>();
  #renewAtMs: number;
  #renewing: Promise<void> | undefined;

  private constructor(options: PointServerOptions, server: Server) {
    this.#options = options;
    this.#server = server;
    this.#renewAtMs = options.clock.nowMs() + options.certificateLifetimeMs / 2;
  }

  /** @throws {PointServerError} `port-taken` or `no-such-address` */
  static async start(options: PointServerOptions): Promise<PointServer> {
    const server = createServer({
      ...(await ownCertificate(options)),
      minVersion: 'TLSv1.3',
      requestCert: true,
      // Without a certificate a point may enrol, and nothing else: see #accept.
      rejectUnauthorized: false,
      handshakeTimeout: STRANGER_TIMEOUT_MS,
    });
    server.maxConnections = MAX_CONNECTIONS;
    const points = new PointServer(options, server);
    server.on('connection', socket => points.#meet(socket));
    server.on('secureConnection', socket => points.#accept(socket));
    server.on('tlsClientError', error => options.log.debug('a handshake failed', { error: error.message }));
    await listen(server, options.listen);
    return points;
  }

  get address(): Address {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  /**
   * Renews control's own certificate once half of its time is over. Asked again and again instead of timed, for timers
   * stand still while the machine sleeps.
   */
  async renewWhenDue(): Promise<void> {
    if (this.#options.clock.nowMs() < this.#renewAtMs) return;
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    await this.#renewing;
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of [...this.#sockets, ...this.#strangers.values()]) socket.destroy();
    await promise;
  }

  /** UNTRUSTED: anybody may connect. Of too many strangers the one that waits longest goes: who is quick gets through. */
  #meet(socket: Socket): void {
    const key = keyOf(socket);
    this.#strangers.set(key, socket);
    const timer = setTimeout(() => this.#strangers.has(key) && socket.destroy(), STRANGER_TIMEOUT_MS);
    socket.on('close', () => {
      clearTimeout(timer);
      this.#strangers.delete(key);
    });
    if (this.#strangers.size <= MAX_STRANGERS) return;
    for (const [oldest, stranger] of this.#strangers) {
      this.#strangers.delete(oldest);
      stranger.destroy();
      break;
    }
  }

  #accept(socket: TLSSocket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', error =>
      this.#options.log.warn('a connection of a point was ended', { error: error.message }),
    );
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return this.#enrol(socket);
    const { authority, isSerialRevoked, log } = this.#options;
    const verdict = peerIdentity(certificate);
    const point =
      verdict.kind === 'identity'
        ? pointOf(verdict.id, certificate.subject, authority.trustDomain)
        : undefined;
    if (!socket.authorized || point === undefined) {
      log.warn('a certificate was refused', {
        error: String(socket.authorizationError ?? 'not that of a point'),
      });
      return void socket.destroy();
    }
    const known: PeerCertificate = {
      serial: certificateSerial(certificate),
      notAfterMs: certificate.validToDate.getTime(),
    };
    if (isSerialRevoked(known.serial)) {
      log.warn('a revoked certificate was refused', { point: point.name, serial: known.serial });
      return void socket.destroy();
    }
    this.#strangers.delete(keyOf(socket));
    const session = new PointSession(point, known, socket, this.#options.duties);
    this.#options.connected(session);
    socket.on('close', () => this.#options.disconnected(session));
  }

  /** One message each way, then the end. UNTRUSTED: anybody may come here. */
  #enrol(socket: TLSSocket): void {
    let asked = false;
    const channel = new LineChannel(socket, {
      maxLineBytes: MAX_ENROLMENT_BYTES,
      maxQueuedBytes: 1024 * 1024,
      onLine: line => {
        if (asked)
          throw new PointServerError('not-a-point', 'a peer without a certificate says one thing only');
        asked = true;
        void this.#answerEnrolment(line, socket).then(answer => {
          channel.send(answer);
          socket.destroySoon();
        });
      },
    });
  }

  async #answerEnrolment(line: string, socket: TLSSocket): Promise<ControlMessage> {
    const { authority, bundleKey, certificateLifetimeMs, enrolled, log, tokens } = this.#options;
    try {
      const { name, request, token } = enrolSchema.parse(line);
      const redemption = tokens.redeem(token, name);
      if (redemption.kind === 'refused') {
        log.warn('an enrolment was refused', { point: name, reason: redemption.reason });
        // Which of the reasons it was helps only who guesses.
        return { kind: 'enrolment-refused', message: 'the join token is not valid for this point' };
      }
      const { point } = redemption;
      // Its token is spent: it must not give way to strangers now.
      this.#strangers.delete(keyOf(socket));
      const identity = partIdentity(authority.trustDomain, point.kind);
      const { certificateChainPem: certificateChain, notAfterMs } = await authority.issueIdentity({
        requestPem: request,
        identity,
        commonName: point.name,
        validity: { kind: 'lifetime', lifetimeMs: certificateLifetimeMs },
      });
      enrolled(point);
      log.info('point enrolled', { point: name });
      const { trustDomain } = authority;
      return {
        kind: 'enrolled',
        pointKind: point.kind,
        trustDomain,
        identity,
        certificateChain,
        notAfterMs,
        bundleKey,
      };
    } catch (error) {
      log.warn('an enrolment failed', { error: (error as Error).message });
      return { kind: 'enrolment-refused', message: 'the enrolment is malformed' };
    }
  }

  async #renew(): Promise<void> {
    const { certificateLifetimeMs, clock, log } = this.#options;
    try {
      this.#server.setSecureContext(await ownCertificate(this.#options));
      this.#renewAtMs = clock.nowMs() + certificateLifetimeMs / 2;
    } catch (error) {
      this.#renewAtMs = clock.nowMs() + RENEWAL_RETRY_MS;
      log.error('the certificate of control was not renewed', { error: (error as Error).message });
    }
  }
}

function keyOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** The point whose certificate this is: its kind is in the SPIFFE ID, its name in the subject, both set by control. */
function pointOf(identity: string, subject: string, trustDomain: string): PointName | undefined {
  const kind = (['gateway', 'agent'] as const).find(part => partIdentity(trustDomain, part) === identity);
  const name = /^CN=([a-z0-9-]{1,63})$/m.exec(subject)?.[1];
  return kind === undefined || name === undefined ? undefined : { name, kind };
}

async function ownCertificate({ authority, certificateLifetimeMs }: PointServerOptions) {
  const { privateKeyPem, requestPem } = await createKeyRequest();
  const { certificateChainPem } = await authority.issueIdentity({
    requestPem,
    identity: partIdentity(authority.trustDomain, 'control'),
    validity: { kind: 'lifetime', lifetimeMs: certificateLifetimeMs },
  });
  return { cert: certificateChainPem, key: privateKeyPem, ca: [...authority.trustAnchors] };
}

async function listen(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port }, resolve);
  try {
    await promise;
  } catch (error) {
    const at = `${host}:${port}`;
    if (hasCode(error, 'EADDRINUSE'))
      throw new PointServerError('port-taken', `${quote(at)} is in use already`, { cause: error });
    throw new PointServerError('no-such-address', `cannot listen on ${quote(at)}`, { cause: error });
  }
  server.removeListener('error', reject);
}
