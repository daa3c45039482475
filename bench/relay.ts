import { connect, createServer } from 'node:tls';

/**
 * What Node's TLS sockets can do at most: bytes from a caller's connection go to a connection of its own to the backend
 * and back, unread. One JSON line in, then it serves until it is stopped.
 */
type Start = {
  readonly port: number;
  readonly backendPort: number;
  readonly edge: { readonly certificateChainPem: string; readonly privateKeyPem: string };
  readonly caller: { readonly certificateChainPem: string; readonly privateKeyPem: string };
  readonly trustAnchors: readonly string[];
};

let text = '';
for await (const chunk of process.stdin) text += String(chunk);
const { port, backendPort, edge, caller, trustAnchors } = JSON.parse(text) as Start;
const server = createServer(
  { cert: edge.certificateChainPem, key: edge.privateKeyPem, noDelay: true },
  client => {
    const backend = connect({
      host: '127.0.0.1',
      port: backendPort,
      ca: [...trustAnchors],
      cert: caller.certificateChainPem,
      key: caller.privateKeyPem,
      checkServerIdentity: () => undefined,
    });
    backend.setNoDelay(true);
    client.on('data', chunk => backend.write(chunk));
    backend.on('data', chunk => client.write(chunk));
    client.on('close', () => backend.destroy());
    backend.on('close', () => client.destroy());
    client.on('error', () => {});
    backend.on('error', () => {});
  },
);
server.listen(port, '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
