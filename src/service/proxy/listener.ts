import { createServer, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls';
import { constants } from 'node:crypto';
import type { Address } from '#domain/bundle';
import type { Reason } from '#domain/decision';
import { Peer } from './peer.ts';
import type { ProxySettings } from './settings.ts';

/** What a connection must show before its first byte is read. */
type Security =
  | { readonly kind: 'plaintext' }
  /** Anybody; the server shows its certificate. */
  | { readonly kind: 'tls'; readonly context: SecureContextOptions }
  /** Members of the trust domain only, by their X.509-SVIDs. */
  | { readonly kind: 'mtls'; readonly context: SecureContextOptions; readonly trustDomain: string };

/** A connection that a listener has let in. */
export type Arrival = {
  readonly socket: Socket;
  readonly address: string;
  readonly peer: Peer | undefined;
  readonly serverName: string;
  /** What both sides agreed on (ALPN, RFC 7301). */
  readonly protocol: 'http/1.1' | 'h2';
};

/** What a listener's connections become. */
export interface Held {
  drain(): void;
  cut(): void;
  readonly closed: Promise<void>;
}

export type ListenerOptions = {
  readonly address: Address;
  /** What connections here are for; when it changes, those of the former purpose are drained. */
  readonly purpose: string;
  readonly security: Security;
  readonly settings: ProxySettings;
  /** @returns `undefined` when the connection was refused and is closed */
  readonly accept: (arrival: Arrival) => Held | undefined;
  /** A handshake failed, the peer's certificate is not an SVID, or there are too many connections. */
  readonly refused: (reason: Reason, detail: string, address: string) => void;
};

/** One listening socket: bounds its connections, makes handshakes, drains. */
export class Listener {
  readonly address: Address;
  #options: ListenerOptions;
  readonly #server: Server;
  /** Makes the handshakes of the connections that the server accepts. */
  #tls: TlsServer | undefined;
  /** Until the bundle that names this listener is in force, it lets nobody in. */
  #open = false;
  readonly #raw = new Set<Socket>();
  readonly #held = new Set<Held>();
  readonly #perAddress = new Map<string, number>();

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.address = options.address;
    this.#tls = createTls(options, socket => this.#secured(options, socket));
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, socket => this.#arrived(socket));
    this.#server.maxConnections = options.settings.maxConnections;
    this.#server.on('drop', dropped => {
      const address = plainAddress(dropped?.remoteAddress ?? '');
      this.#options.refused('overloaded', 'too many connections', address);
    });
  }

  /** The port in use: that of the address unless it asks for any. */
  get port(): number {
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  get purpose(): string {
    return this.#options.purpose;
  }

  get size(): number {
    return this.#raw.size;
  }

  /** @throws the system's error: `EADDRINUSE`, `EACCES` */
  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen({ host: this.address.host, port: this.address.port, backlog: 1024 }, resolve);
    await promise;
    this.#server.off('error', reject);
    // After this, errors concern single accepts (EMFILE): the listener goes on.
    this.#server.on('error', () => {});
  }

  /** Puts `options`, of the same address, in force for the connections that come from now on. */
  open(options: ListenerOptions): void {
    const former = this.#options;
    this.#open = true;
    this.#options = options;
    if (former === options) return;
    if (former.purpose !== options.purpose || former.security.kind !== options.security.kind) {
      for (const held of this.#held) held.drain();
      this.#tls = createTls(options, socket => this.#secured(options, socket));
    } else if (options.security.kind !== 'plaintext') {
      this.renew(options.security.context);
    }
  }

  /** New handshakes use `context` from now on; connections stay. */
  renew(context: SecureContextOptions): void {
    this.#tls?.setSecureContext(secured(context, this.#options.security.kind));
  }

  /** Accepts no more; lets requests in flight end, and closes what is left after the time for it. */
  async drain(timeoutMs: number): Promise<void> {
    this.#server.close();
    for (const held of this.#held) held.drain();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([promise, Promise.all([...this.#held].map(held => held.closed))]);
    clearTimeout(timer);
    this.close();
  }

  close(): void {
    this.#server.close();
    for (const held of this.#held) held.cut();
    for (const socket of this.#raw) socket.destroy();
  }

  #arrived(socket: Socket): void {
    const address = addressOf(socket);
    const count = (this.#perAddress.get(address) ?? 0) + 1;
    if (!this.#open || count > this.#options.settings.maxConnectionsPerAddress) {
      // Before the handshake: what is too much must not cost one.
      socket.destroy();
      if (this.#open) this.#options.refused('rate-limited', 'too many connections of one address', address);
      return;
    }
    this.#perAddress.set(address, count);
    this.#raw.add(socket);
    socket.once('close', () => {
      this.#raw.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
    if (this.#tls === undefined) this.#accept(socket, undefined, '');
    else this.#tls.emit('connection', socket);
  }

  #secured(asked: ListenerOptions, socket: TLSSocket): void {
    const { security, refused } = this.#options;
    const serverName = typeof socket.servername === 'string' ? socket.servername.toLowerCase() : '';
    const peer = security.kind === 'mtls' ? readPeer(socket, security.trustDomain) : undefined;
    // The handshake may have begun under another purpose: then it proved something to somebody else.
    if (typeof peer !== 'string' && asked.purpose === this.#options.purpose) {
      this.#accept(socket, peer, serverName);
      return;
    }
    if (typeof peer === 'string') refused('peer-unverified', peer, addressOf(socket));
    socket.on('error', () => {});
    socket.destroy();
  }

  #accept(socket: Socket, peer: Peer | undefined, serverName: string): void {
    const held = this.#options.accept({
      socket,
      address: addressOf(socket),
      peer,
      serverName,
      protocol: 'alpnProtocol' in socket && socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1',
    });
    if (held === undefined) return;
    this.#held.add(held);
    void held.closed.then(() => this.#held.delete(held));
  }
}

function createTls(options: ListenerOptions, arrived: (socket: TLSSocket) => void): TlsServer | undefined {
  const { security, settings, refused } = options;
  if (security.kind === 'plaintext') return undefined;
  const server = createTlsServer({
    ...secured(security.context, security.kind),
    handshakeTimeout: settings.handshakeTimeoutMs,
    requestCert: security.kind === 'mtls',
    rejectUnauthorized: security.kind === 'mtls',
    allowHalfOpen: true,
    ALPNProtocols: security.kind === 'tls' ? ['h2', 'http/1.1'] : ['http/1.1'],
  });
  server.on('secureConnection', arrived);
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    const { reason, detail } = explainHandshake(error);
    refused(reason, detail, addressOf(socket));
    socket.destroy();
  });
  return server;
}

function readPeer(socket: TLSSocket, trustDomain: string): Peer | string {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? 'no certificate' : Peer.read(certificate, trustDomain);
}

/** IPv4 addresses as such, also where the socket listens on IPv6 (RFC 4291 §2.5.5.2). */
function addressOf(socket: Socket): string {
  return plainAddress(socket.remoteAddress ?? '');
}

function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}

function secured(context: SecureContextOptions, kind: Security['kind']): SecureContextOptions {
  return {
    ...context,
    honorCipherOrder: true,
    ciphers: CIPHERS,
    // Between points both ends are ours, and speak TLS 1.3.
    minVersion: kind === 'mtls' ? 'TLSv1.3' : 'TLSv1.2',
    // INVARIANT: no mTLS session outlives its connection. A ticket would let a revoked peer in without showing its
    // certificate again; and renegotiation would let it change its name.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (kind === 'mtls' ? constants.SSL_OP_NO_TICKET : 0),
  };
}

/** RFC 9325 §4.2: forward secrecy and authenticated encryption only. Our keys are ECDSA. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
].join(':');

function explainHandshake(error: Error): { readonly reason: Reason; readonly detail: string } {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  const plaintext = code === 'ERR_SSL_HTTP_REQUEST' || code === 'ERR_SSL_WRONG_VERSION_NUMBER';
  return { reason: plaintext ? 'plaintext-refused' : 'peer-unverified', detail: code };
}
