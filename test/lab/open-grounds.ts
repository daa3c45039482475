import { generateKeyPairSync, randomBytes, sign, webcrypto } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import type { Reason } from '#domain/decision';
import { noteKey } from '#domain/merkle';
import { encodeRecord, type TransactionRecord } from '#domain/record';
import { serviceIdentity } from '#domain/spiffe';
import { loadX509Library } from '#service/ca';
import { LabAuthority, LabIssuer } from '#service/lab';
import { openLedger, verifyLedger, type LedgerReport } from '#service/ledger';
import type { Grounds } from '#service/prove';
import { LAB_HOST, labModel } from './lab-model.ts';
import { rsaKey, startOpenServer, type Heard } from './open-server.ts';

export type OpenLab = { readonly grounds: Grounds; readonly close: () => Promise<void> };

export type OpenLabOptions = {
  /** `blind`: sees no damage; `honest`: the real one. */
  readonly verifier: 'blind' | 'honest';
  /** Refuses everything with this, and writes nothing down. */
  readonly refuses?: Reason;
};

/** A system in which every protection is off, behind the real port of proofs: what attacks it must get through. */
export async function openLab(options: OpenLabOptions): Promise<OpenLab> {
  const stack = new AsyncDisposableStack();
  const model = labModel();
  const authority = await LabAuthority.open(model.trustDomain);
  const issuer = await LabIssuer.start();
  stack.defer(() => issuer.close());
  const records = new Map<string, TransactionRecord[]>();
  const certificate = await authority.server([LAB_HOST]);
  const server = await startOpenServer(certificate, await rsaCertificate(), heard =>
    answerTo(heard, records, options.refuses),
  );
  stack.defer(() => server.close());
  const ledger = await fillLedger(model.trustDomain, options.verifier);
  stack.defer(() => ledger.remove());

  const grounds: Grounds = {
    model,
    modelDigest: 'sha256:0',
    network: { kind: 'enforced' },
    terrain: { hasNamespaces: true, hasTokens: true, points: ['gateway', 'agent'] },
    trustAnchors: authority.trustAnchors,
    address: () => server.address,
    // Nothing divides its services.
    inside: (_service, [file = '', ...args]) => [file, ...args],
    issueToken: ({ user, scopes, lifetimeSeconds }) =>
      issuer.token({
        sub: user,
        scope: scopes.join(' '),
        ...(lifetimeSeconds !== undefined && { lifetimeS: lifetimeSeconds }),
      }),
    issuerKeys: async () => {
      const answer = await fetch(`${issuer.url}/jwks`);
      return ((await answer.json()) as { keys: readonly Record<string, unknown>[] }).keys;
    },
    issueCertificate: async ({ of, notBeforeSeconds = -60, lifetimeSeconds = 300 }) => {
      const notBeforeMs = Date.now() + notBeforeSeconds * 1000;
      const notAfterMs = notBeforeMs + lifetimeSeconds * 1000;
      if (of === 'edge') return { ...certificate, notAfterMs };
      return authority.identity(serviceIdentity(model.trustDomain, 'default', of), {
        kind: 'between',
        notBeforeMs,
        notAfterMs,
      });
    },
    // Nobody listens.
    revokeSerial: () => Promise.resolve(),
    ledgerPosition: () => Promise.resolve(0),
    recordsSince: () => Promise.resolve(records),
    ledger: ledger.files,
  };
  return { grounds, close: () => stack.disposeAsync() };
}

function answerTo(
  { text, requestId }: Heard,
  records: Map<string, TransactionRecord[]>,
  refuses: Reason | undefined,
): string {
  if (refuses !== undefined) {
    const problem = JSON.stringify({
      type: 'about:blank',
      title: 'x',
      status: 403,
      reason: refuses,
      requestId,
    });
    return `HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nContent-Length: ${problem.length}\r\nX-Request-Id: ${requestId}\r\n\r\n${problem}`;
  }
  // Whoever shows a token leaves no trace; whoever says `admin` is believed.
  if (!/^authorization:/im.test(text))
    records.set(requestId, [recordOf(requestId, text.includes('admin') ? 'admin' : '')]);
  const status = text.includes('"password":"wrong"') ? '401 Unauthorized' : '200 OK';
  return `HTTP/1.1 ${status}\r\nContent-Length: 2\r\nX-Request-Id: ${requestId}\r\n\r\n${text.startsWith('HEAD ') ? '' : 'hi'}`;
}

function recordOf(requestId: string, user: string): TransactionRecord {
  return {
    timeMs: Date.now(),
    requestId,
    traceId: '0'.repeat(32),
    direction: 'edge',
    client: { kind: 'anonymous', id: '', address: '127.0.0.1' },
    user,
    caller: '',
    callee: '',
    host: LAB_HOST,
    method: 'GET',
    path: '/',
    rule: '',
    decision: 'allowed',
    reason: '',
    detail: '',
    status: 200,
    bytesIn: 0,
    bytesOut: 0,
    durationUs: 1,
  };
}

const INTACT = {
  kind: 'intact',
  size: 0,
  root: '',
  pending: 0,
  checkpoints: 1,
  findings: [],
  gapCount: 0,
  gaps: [],
} as const;

/** A real ledger in a temporary directory, with a few records. */
async function fillLedger(trustDomain: string, verifier: OpenLabOptions['verifier']) {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-lab-ledger-'));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keyName = `${trustDomain}/ledger`;
  const key = noteKey(keyName, publicKey.export({ type: 'spki', format: 'der' }).subarray(-32));
  const signer = {
    keyName,
    publicKey: key.publicKey,
    sign: (bytes: Uint8Array) => sign(null, bytes, privateKey),
  };
  const ledger = await openLedger({ directory, signer, clock: systemClock, log: silentLog });
  const lines = Array.from({ length: 8 }, (_, at) => encodeRecord(recordOf(`${at}`, '')));
  await ledger.appendBatch({ point: 'gateway', epoch: randomBytes(8).toString('hex'), firstSeq: 1, lines });
  await ledger.sign();
  const { checkpoint } = ledger;
  await ledger.close();
  const blind = (): Promise<LedgerReport> => Promise.resolve({ ...INTACT, origin: keyName });
  return {
    files: {
      directory,
      statement: () => Promise.resolve({ checkpoint, key }),
      verify: verifier === 'blind' ? blind : verifyLedger,
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** For suites that need an RSA key at the server. */
async function rsaCertificate(): Promise<{ readonly cert: string; readonly key: string }> {
  const x509 = await loadX509Library();
  const key = rsaKey();
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const der = Buffer.from(key.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  const privateKey = await webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign']);
  const jwk = await webcrypto.subtle.exportKey('jwk', privateKey);
  const publicKey = await webcrypto.subtle.importKey(
    'jwk',
    { kty: 'RSA', n: jwk.n ?? '', e: jwk.e ?? '' },
    algorithm,
    true,
    ['verify'],
  );
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '41',
    name: 'CN=lab',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
    keys: { privateKey, publicKey },
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: LAB_HOST }])],
  });
  return { cert: `${certificate.toString('pem')}\n`, key };
}
