import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { loadX509Library } from '#service/ca';
import { LabAuthority, RawClient, startBackend, type LabSystem } from '#service/lab';
import { OK, reasonOf, setUp } from './agent-lab.ts';

test('egress reaches its origin and no other, whatever the request says', async t => {
  const { system, backend } = await setUp(t);
  const elsewhere = await startBackend(c => c.answer(OK));
  t.after(() => elsewhere.close());
  const client = await system.egress();
  client.send(
    `GET http://127.0.0.1:${elsewhere.address.port}/x HTTP/1.1\r\nhost: 127.0.0.1:${elsewhere.address.port}\r\n\r\n`,
  );
  assert.equal((await client.answer()).status, 200);
  assert.equal(elsewhere.seen.length, 0);
  assert.equal(backend.seen[0]?.fields['host'], `127.0.0.1:${backend.address.port}`);
  client.close();
});

test('egress in plaintext beyond loopback is no bundle', async t => {
  const { system } = await setUp(t);
  for (const origin of ['http://bank.example', 'http://10.0.0.1:8080', 'ftp://127.0.0.1', 'https://a.b/path'])
    await assert.rejects(applyEgress(system, origin), { code: 'bad-origin' }, origin);
});

// ---- by TLS, to an origin as it stands on the internet

/** Lets `shop` reach `origin`. */
async function applyEgress(system: LabSystem, origin: string): Promise<void> {
  const bundle = system.agentBundle();
  const shop = bundle.services[1]!;
  const egress = [{ ...shop.egress[0]!, origin }];
  await system.agent.apply({ ...bundle, services: [{ ...shop, egress }] }, system.identities);
}

/** An origin with this certificate that answers whatever it is sent, and notes what it sees of its callers. */
async function startOrigin(
  t: TestContext,
  pair: { readonly cert: string; readonly key: string },
  options: TlsOptions = {},
) {
  const seen = { serverNames: [] as unknown[], certificates: 0, sessions: 0, text: '' };
  const server = createTlsServer(
    { ...pair, requestCert: true, rejectUnauthorized: false, ...options },
    socket => {
      seen.serverNames.push(socket.servername);
      if (socket.getPeerX509Certificate() !== undefined) seen.certificates++;
      if (socket.isSessionReused()) seen.sessions++;
      socket.on('error', () => {});
      socket.on('data', chunk => {
        seen.text += chunk.toString('latin1');
        socket.write(OK);
      });
    },
  );
  server.on('tlsClientError', () => {});
  const sockets: TLSSocket[] = [];
  server.on('connection', (socket: TLSSocket) => sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { seen, port: (server.address() as AddressInfo).port };
}

const publicRoots = await LabAuthority.open('public.test');

async function certificate(dnsNames: readonly string[], authority = publicRoots) {
  const pair = await authority.server(dnsNames);
  return { cert: pair.certificateChainPem, key: pair.privateKeyPem };
}

async function call(system: LabSystem, origin: string) {
  await applyEgress(system, origin);
  const client = await RawClient.tcp(system.agent.port(`egress/shop/${origin}`));
  const answer = await client.get('/pay?amount=1', 'authorization: Bearer secret\r\n', 'anything.test');
  client.close();
  return answer;
}

const withRoots = { egressRoots: publicRoots.trustAnchors };

test('an origin that shows a certificate for its name is told its name, and no identity of ours', async t => {
  const { system, journal } = await setUp(t, withRoots);
  const { seen, port } = await startOrigin(t, await certificate(['localhost']));
  const origin = `https://localhost:${port}`;
  const answer = await call(system, origin);
  assert.equal(answer.status, 200);
  assert.deepEqual(seen.serverNames, ['localhost']);
  assert.match(seen.text, new RegExp(`^GET /pay\\?amount=1 HTTP/1.1\r\nhost: localhost:${port}\r\n`));
  // What the service itself sends goes on; what we know of it stays here.
  assert.match(seen.text, /\r\nauthorization: Bearer secret\r\n/);
  assert.doesNotMatch(seen.text, /anything\.test|spiffe|x-ringwall/);
  assert.equal(seen.certificates, 0);
  const record = await journal.find(r => r.direction === 'egress');
  assert.deepEqual([record.callee, record.rule, record.status], [origin, 'egress/shop/0', 200]);
});

test('an origin that is named by its address is sent no server name (RFC 6066 §3)', async t => {
  const warnings: string[] = [];
  const warn = (warning: Error) => void warnings.push(warning.message);
  process.on('warning', warn);
  t.after(() => process.off('warning', warn));
  const { system } = await setUp(t, withRoots);
  const { seen, port } = await startOrigin(t, await certificate(['localhost']));
  assert.equal((await call(system, `https://127.0.0.1:${port}`)).status, 200);
  assert.deepEqual(seen.serverNames, [false]);
  assert.deepEqual(warnings, []);
});

test('connections to an origin are kept, and made anew without resuming a session', async t => {
  const { system } = await setUp(t, withRoots);
  const { seen, port } = await startOrigin(t, await certificate(['localhost']));
  const origin = `https://localhost:${port}`;
  await call(system, origin);
  await call(system, origin);
  assert.equal(seen.serverNames.length, 1);
  await system.agent.apply({ ...system.agentBundle(), services: [] }, system.identities);
  await call(system, origin);
  assert.equal(seen.serverNames.length, 2);
  assert.equal(seen.sessions, 0);
});

async function selfSigned() {
  const x509 = await loadX509Library();
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }])],
  });
  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    cert: made.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
  };
}

async function expired() {
  const nowMs = Date.now();
  const validity = { kind: 'between', notBeforeMs: nowMs - 7_200_000, notAfterMs: nowMs - 60_000 } as const;
  const pair = await publicRoots.server(['localhost'], validity);
  return { cert: pair.certificateChainPem, key: pair.privateKeyPem };
}

async function notYetValid() {
  const nowMs = Date.now();
  const validity = {
    kind: 'between',
    notBeforeMs: nowMs + 3_600_000,
    notAfterMs: nowMs + 7_200_000,
  } as const;
  const pair = await publicRoots.server(['localhost'], validity);
  return { cert: pair.certificateChainPem, key: pair.privateKeyPem };
}

const impostors: readonly (readonly [
  what: string,
  make: (system: LabSystem) => Promise<{ readonly cert: string; readonly key: string }>,
  detail: string,
])[] = [
  ['for another name', () => certificate(['bank.example']), 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['that it signed itself', selfSigned, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['that has expired', expired, 'CERT_HAS_EXPIRED'],
  ['that is not valid yet', notYetValid, 'CERT_NOT_YET_VALID'],
  [
    'of an authority that nobody knows',
    async () => certificate(['localhost'], await LabAuthority.open('evil.test')),
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ],
  // The trust domain vouches for services, and not for the world outside.
  [
    'of our own trust domain',
    system => certificate(['localhost'], system.authority),
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ],
  [
    'of a service',
    async () => {
      const pair = await publicRoots.identity('spiffe://public.test/ns/default/sa/localhost');
      return { cert: pair.certificateChainPem, key: pair.privateKeyPem };
    },
    'ERR_TLS_CERT_ALTNAME_INVALID',
  ],
];
for (const [what, make, detail] of impostors) {
  test(`an origin with a certificate ${what} is sent nothing: 502`, async t => {
    const { system, journal } = await setUp(t, withRoots);
    const { seen, port } = await startOrigin(t, await make(system));
    const answer = await call(system, `https://localhost:${port}`);
    assert.equal(answer.status, 502);
    assert.equal(reasonOf(answer.body), 'upstream-unverified');
    assert.equal((await journal.find(r => r.reason === 'upstream-unverified')).detail, detail);
    assert.equal(seen.text, '');
    assert.equal(seen.certificates, 0);
  });
}

test('an origin that speaks TLS 1.1 at best is not spoken to: 502', async t => {
  const { system } = await setUp(t, withRoots);
  const { seen, port } = await startOrigin(t, await certificate(['localhost']), {
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'ALL@SECLEVEL=0',
  });
  const answer = await call(system, `https://localhost:${port}`);
  assert.equal(reasonOf(answer.body), 'upstream-unverified');
  assert.equal(seen.text, '');
});

test('without roots of its own an agent trusts the public ones, and not these', async t => {
  const { system } = await setUp(t);
  const { seen, port } = await startOrigin(t, await certificate(['localhost']));
  const answer = await call(system, `https://localhost:${port}`);
  assert.equal(reasonOf(answer.body), 'upstream-unverified');
  assert.equal(seen.text, '');
});

test('an origin that takes connections and says nothing: 504, and it was sent no more than the beginning of a handshake', async t => {
  const { system } = await setUp(t, { ...withRoots, settings: { connectTimeoutMs: 150 } });
  const heard: Buffer[] = [];
  const mute = createTcpServer(socket => {
    socket.on('error', () => {});
    socket.on('data', chunk => heard.push(chunk));
  });
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.after(() => mute.close());
  const answer = await call(system, `https://localhost:${(mute.address() as AddressInfo).port}`);
  assert.equal(answer.status, 504);
  assert.equal(reasonOf(answer.body), 'upstream-timeout');
  // RFC 8446 §5.1: a record of handshakes.
  assert.equal(heard[0]?.[0], 22);
  assert.doesNotMatch(Buffer.concat(heard).toString('latin1'), /pay|secret/);
});
