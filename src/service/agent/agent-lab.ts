import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Address, AgentBundle } from '#domain/bundle';
import { serviceIdentity } from '#domain/spiffe';
import { httpCall, LabSystem, SHOP, type LabOptions } from '#service/lab';
import type { SvidKeyPair } from '#service/point';

export const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
export const STRANGER = serviceIdentity('lab.test', 'default', 'stranger');
export const CONNECT = {
  kind: 'connect',
  rule: 'calls/shop/web/0',
  at: { file: 'lab.yaml', line: 1, column: 1 },
} as const;

/** The gateway may `GET /gateway` at `web`, and `shop` `GET /items/*`. */
export async function setUp(t: TestContext, options: Partial<LabOptions> = {}) {
  const system = await LabSystem.start({
    respond: c => c.answer(OK),
    calls: [httpCall('GET', '/gateway')],
    shopCalls: [httpCall('GET', '/items/*')],
    ...options,
  });
  t.after(() => system.close());
  return { system, backend: system.backend, journal: system.journal };
}

/** As `setUp`, for TCP: `shop` may connect to `web`. */
export function setUpTcp(t: TestContext, options: Partial<LabOptions> = {}) {
  return setUp(t, { protocol: 'tcp', shopCalls: [CONNECT], calls: [], ...options });
}

export const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;

/** Puts a bundle in force by which `shop` finds `web` at `address`. */
export async function callElsewhere(system: LabSystem, address: Address, changes: Partial<AgentBundle> = {}) {
  const bundle = system.agentBundle(changes);
  const services = bundle.services.map(service => ({
    ...service,
    outbound: service.outbound.map(target => ({ ...target, to: { ...target.to, address } })),
  }));
  await system.agent.apply({ ...bundle, services }, system.identities);
}

/** Who answers as `web` with this certificate, in place of its agent. */
export async function startWeb(
  t: TestContext,
  system: LabSystem,
  pair: SvidKeyPair,
  options: TlsOptions = {},
) {
  const sockets: TLSSocket[] = [];
  let requests = 0;
  const tls = createTlsServer({
    cert: pair.certificateChainPem,
    key: pair.privateKeyPem,
    ca: [...system.authority.trustAnchors],
    requestCert: true,
    ALPNProtocols: ['http/1.1'],
    ...options,
  });
  tls.on('tlsClientError', () => {});
  tls.on('secureConnection', socket => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', () => {
      requests++;
      socket.write(OK);
    });
  });
  const arrived = Promise.withResolvers<void>();
  let gate = Promise.resolve();
  const front = createTcpServer(socket => {
    socket.on('error', () => {});
    arrived.resolve();
    void gate.then(() => tls.emit('connection', socket));
  });
  await new Promise<void>(resolve => front.listen(0, '127.0.0.1', resolve));
  t.after(() => front.close());
  const address = { host: '127.0.0.1', port: (front.address() as AddressInfo).port };
  return {
    apply: (changes?: Partial<AgentBundle>) => callElsewhere(system, address, changes),
    arrived: arrived.promise,
    /** Lets handshakes wait; returns what lets them go on. */
    hold: () => {
      const held = Promise.withResolvers<void>();
      gate = held.promise;
      return held.resolve;
    },
    sockets,
    requests: () => requests,
  };
}

/** A bundle that cannot be put in force, for one of its ports is taken. */
export async function unavailable(t: TestContext, system: LabSystem, revoked: AgentBundle['revoked']) {
  const squatter = createTcpServer();
  await new Promise<void>(resolve => squatter.listen(0, '127.0.0.1', resolve));
  t.after(() => squatter.close());
  const bundle = system.agentBundle({ revoked });
  const port = (squatter.address() as AddressInfo).port;
  const fresh = {
    ...bundle.services[0]!,
    name: 'fresh',
    identity: SHOP,
    inbound: { host: '127.0.0.1', port },
  };
  return { ...bundle, services: [...bundle.services, fresh] };
}

/** Lets everything go that can go, until no more does. @param count what has gone so far */
export async function untilStuck(count: () => number): Promise<void> {
  for (let before = -1; count() === 0 || count() !== before;) {
    before = count();
    await sleep(100);
  }
}

/** Bytes that `peer`, which did not read until now, still receives. */
export async function receivedUntilClosed(peer: Socket): Promise<number> {
  let bytes = 0;
  const closed = new Promise<void>(resolve => peer.once('close', () => resolve()));
  peer.on('error', () => {});
  // Who answers is told that nobody listens, and may get less for it.
  peer.removeAllListeners('data');
  peer.on('data', (chunk: Buffer) => (bytes += chunk.length));
  peer.once('end', () => peer.destroy());
  peer.resume();
  await closed;
  return bytes;
}
