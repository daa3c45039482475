import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Address } from '#domain/bundle';

export type Heard = { readonly text: string; readonly requestId: string };

export type OpenServer = { readonly address: Address; readonly close: () => Promise<void> };

const TLS_HANDSHAKE = 0x16;
/** After this long without a byte, what has come is taken for a request, whatever it is. */
const QUIET_MS = 15;
const WHOLE_GET = /^GET [^ ]+ HTTP\/1\.1\r\n(?:[^\r\n]+\r\n)+\r\n$/;

/**
 * A place without any wall: takes TLS of every age and cipher and plaintext on one port, every certificate or none, and
 * answers everything that comes.
 *
 * @param answer the whole answer to what was heard
 */
export async function startOpenServer(
  certificate: { readonly certificateChainPem: string; readonly privateKeyPem: string },
  rsa: { readonly cert: string; readonly key: string },
  answer: (heard: Heard) => string,
): Promise<OpenServer> {
  const sockets = new Set<Socket>();
  const tls = createTlsServer({
    cert: [certificate.certificateChainPem, rsa.cert],
    key: [certificate.privateKeyPem, rsa.key],
    minVersion: 'TLSv1',
    ciphers: 'TLS_AES_128_GCM_SHA256:ALL:eNULL:aNULL:@SECLEVEL=0',
    dhparam: 'auto',
    requestCert: true,
    rejectUnauthorized: false,
  });
  const converse = (socket: Socket | TLSSocket) => {
    let text = '';
    let timer: NodeJS.Timeout | undefined;
    const respond = () => {
      const requestId = /^x-request-id: *([^\r\n]+)/im.exec(text)?.[1] ?? randomUUID();
      if (socket.writable) socket.write(answer({ text, requestId }), 'latin1');
      text = '';
    };
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      clearTimeout(timer);
      if (WHOLE_GET.test(text)) respond();
      else timer = setTimeout(respond, QUIET_MS);
    });
    socket.on('close', () => clearTimeout(timer));
  };
  tls.on('secureConnection', converse);
  tls.on('tlsClientError', (_error, socket) => void socket.destroy());
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.once('readable', () => {
      const first = socket.read() as Buffer | null;
      if (first === null) return;
      socket.unshift(first);
      if (first[0] === TLS_HANDSHAKE) tls.emit('connection', socket);
      else converse(socket);
    });
  });
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve));
  return {
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    close: () =>
      new Promise<void>(resolve => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

export function rsaKey(): string {
  return generateKeyPairSync('rsa', { modulusLength: 2048 })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
}
