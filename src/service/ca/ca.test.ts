import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { FakeClock } from '#base/clock';
import { silentLog } from '#base/log';
import {
  authorityTrustDomain,
  certificateSerial,
  encodeCertificateRequest,
  peerIdentity,
  splitPemChain,
} from '#domain/x509';
import { openSealer, type Sealer } from '#service/sealed';
import { loadX509Library, openAuthority, type Authority } from '#service/ca';

const run = promisify(execFile);
const HOUR = { kind: 'lifetime', lifetimeMs: 3_600_000 } as const;
const WEB = 'spiffe://a.test/ns/default/sa/web';

async function setUp(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-ca-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const clock = new FakeClock(Date.now());
  const open = async (trustDomain = 'a.test', keyFile = join(directory, 'key')): Promise<Authority> =>
    openAuthority({
      directory: join(directory, 'ca'),
      sealer: await openSealer({ keyFile, whenMissing: 'create' }),
      trustDomain,
      clock,
      log: silentLog,
    });
  return { directory, clock, open };
}

function request(curve = 'P-256', hash = 'sha256'): string {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
  return encodeCertificateRequest(publicKey.export({ type: 'spki', format: 'der' }), bytes =>
    sign(hash, bytes, privateKey),
  );
}

const chainOf = (pem: string) => splitPemChain(pem).map(text => new X509Certificate(text));

test('issueIdentity() gives an X.509-SVID of one hour with the identity that the caller chose', async t => {
  const { clock, open } = await setUp(t);
  const authority = await open();
  const issued = await authority.issueIdentity({ requestPem: request(), identity: WEB, validity: HOUR });
  const [leaf, issuing, ...more] = chainOf(issued.certificateChainPem);
  assert.deepEqual(peerIdentity(leaf!), { kind: 'identity', id: WEB, trustDomain: 'a.test' });
  assert.equal(more.length, 0);
  assert.equal(issuing!.ca, true);
  assert.equal(leaf!.verify(issuing!.publicKey), true);
  const root = new X509Certificate(authority.trustAnchors[0]!);
  assert.equal(issuing!.verify(root.publicKey), true);
  assert.equal(authorityTrustDomain(root), 'a.test');
  assert.equal(certificateSerial(leaf!), issued.serial);
  assert.equal(issued.serial.length, 32);
  assert.equal(Date.parse(leaf!.validTo), issued.notAfterMs);
  assert.ok(Math.abs(issued.notAfterMs - clock.nowMs() - 3_600_000) < 1000);
  assert.ok(clock.nowMs() - issued.notBeforeMs >= 60_000 && clock.nowMs() - issued.notBeforeMs < 61_000);
});

test('issueServer() gives a server certificate for hosts, which is nobody’s identity', async t => {
  const { open } = await setUp(t);
  const issued = await (
    await open()
  ).issueServer({
    requestPem: request(),
    dnsNames: ['shop.a.test'],
    addresses: ['127.0.0.1'],
    validity: HOUR,
  });
  const [leaf] = chainOf(issued.certificateChainPem);
  assert.equal(leaf!.checkHost('shop.a.test'), 'shop.a.test');
  assert.equal(leaf!.checkIP('127.0.0.1'), '127.0.0.1');
  assert.equal(leaf!.checkHost('other.a.test'), undefined);
  assert.deepEqual(leaf!.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.deepEqual(peerIdentity(leaf!), { kind: 'refused', fault: 'no-identity' });
});

test('openssl verifies what is issued, and refuses a leaf as an issuer', async t => {
  const { directory, open } = await setUp(t);
  try {
    await run('openssl', ['version']);
  } catch {
    return t.skip('openssl is not there');
  }
  const authority = await open();
  const issued = await authority.issueIdentity({
    requestPem: request(),
    identity: WEB,
    validity: HOUR,
    commonName: 'agent',
  });
  const [leaf, issuing] = splitPemChain(issued.certificateChainPem);
  const path = (name: string) => join(directory, name);
  await writeFile(path('leaf.pem'), leaf!);
  await writeFile(path('issuing.pem'), issuing!);
  const verify = (purpose: string, anchors: string) =>
    run('openssl', [
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-CAfile',
      anchors,
      '-untrusted',
      path('issuing.pem'),
      path('leaf.pem'),
    ]);
  for (const purpose of ['sslclient', 'sslserver']) {
    assert.match((await verify(purpose, join(directory, 'ca', 'root.pem'))).stdout, /OK/);
  }
  // Positive control: with another root the same command refuses.
  const { directory: elsewhere, open: openOther } = await setUp(t);
  await openOther();
  await assert.rejects(verify('sslclient', join(elsewhere, 'ca', 'root.pem')));
  await assert.rejects(verify('crlsign', join(directory, 'ca', 'root.pem')));
});

test('@peculiar/x509 reads what is issued as X509-SVID §3 to §5 has it', async t => {
  const { open } = await setUp(t);
  const issued = await (await open()).issueIdentity({ requestPem: request(), identity: WEB, validity: HOUR });
  const x509 = await loadX509Library();
  const [leaf, issuing] = splitPemChain(issued.certificateChainPem).map(pem => new x509.X509Certificate(pem));
  assert.ok(leaf !== undefined && issuing !== undefined);
  assert.equal(leaf.issuer, issuing.subject);
  assert.equal(await leaf.verify({ publicKey: issuing, date: new Date() }), true);
  const constraints = leaf.getExtension(x509.BasicConstraintsExtension);
  assert.deepEqual([constraints?.ca, constraints?.critical], [false, true]);
  const usage = leaf.getExtension(x509.KeyUsagesExtension);
  assert.deepEqual([usage?.usages, usage?.critical], [x509.KeyUsageFlags.digitalSignature, true]);
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  const purposes = leaf.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? [];
  assert.deepEqual([...purposes], [serverAuth, clientAuth]);
  const names = leaf.getExtension(x509.SubjectAlternativeNameExtension);
  assert.deepEqual([names?.names.toJSON(), names?.critical], [[{ type: 'url', value: WEB }], true]);
  assert.equal(
    leaf.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId,
    issuing.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId,
  );
  assert.equal(leaf.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId.length, 40);
});

test('a restart keeps root and intermediate', async t => {
  const { open } = await setUp(t);
  const before = await open();
  const first = await before.issueIdentity({ requestPem: request(), identity: WEB, validity: HOUR });
  const after = await open();
  const second = await after.issueIdentity({ requestPem: request(), identity: WEB, validity: HOUR });
  assert.deepEqual(after.trustAnchors, before.trustAnchors);
  assert.equal(splitPemChain(second.certificateChainPem)[1], splitPemChain(first.certificateChainPem)[1]);
  assert.notEqual(second.serial, first.serial);
});

test('a start after a crash between root and intermediate keeps the root', async t => {
  const { directory, open } = await setUp(t);
  const before = await open();
  await rm(join(directory, 'ca', 'issuing.sealed'));
  await rm(join(directory, 'ca', 'root.pem'));
  assert.deepEqual((await open()).trustAnchors, before.trustAnchors);
});

test('a root.pem that somebody exchanged is not trusted', async t => {
  const { directory, open } = await setUp(t);
  const before = await open();
  await writeFile(join(directory, 'ca', 'root.pem'), (await (await setUp(t)).open()).trustAnchors[0]!);
  assert.deepEqual((await open()).trustAnchors, before.trustAnchors);
  assert.equal(await readFile(join(directory, 'ca', 'root.pem'), 'utf8'), before.trustAnchors[0]);
});

test('the intermediate is renewed 30 days before its end, under the same root', async t => {
  const { clock, open } = await setUp(t);
  const authority = await open();
  const first = await authority.issueIdentity({ requestPem: request(), identity: WEB, validity: HOUR });
  clock.advance(336 * 86_400_000);
  const [a, b] = await Promise.all(
    [request(), request()].map(requestPem =>
      authority.issueIdentity({ requestPem, identity: WEB, validity: HOUR }),
    ),
  );
  const issuing = splitPemChain(a!.certificateChainPem)[1]!;
  assert.notEqual(issuing, splitPemChain(first.certificateChainPem)[1]);
  assert.equal(splitPemChain(b!.certificateChainPem)[1], issuing);
  assert.equal(
    new X509Certificate(issuing).verify(new X509Certificate(authority.trustAnchors[0]!).publicKey),
    true,
  );
  assert.deepEqual((await open()).trustAnchors, authority.trustAnchors);
});

test('a disk that is full at the renewal of the intermediate ends no identities before it does', async t => {
  const { clock, directory } = await setUp(t);
  const sealer = await openSealer({ keyFile: join(directory, 'key'), whenMissing: 'create' });
  let fault: Error | undefined;
  const disk: Sealer = {
    seal: (name, bytes) => sealer.seal(name, bytes),
    open: (name, bytes) => sealer.open(name, bytes),
    readFile: (path, name) => sealer.readFile(path, name),
    writeFile: (path, name, bytes) =>
      fault === undefined ? sealer.writeFile(path, name, bytes) : Promise.reject(fault),
  };
  const authority = await openAuthority({
    directory: join(directory, 'ca'),
    sealer: disk,
    trustDomain: 'a.test',
    clock,
    log: silentLog,
  });
  const issue = () => authority.issueIdentity({ requestPem: request(), identity: WEB, validity: HOUR });
  const issuingOf = async () => splitPemChain((await issue()).certificateChainPem)[1];
  const first = await issuingOf();
  fault = new Error('no space left');
  clock.advance(336 * 86_400_000);
  assert.equal(await issuingOf(), first);
  clock.advance(28 * 86_400_000);
  assert.equal(await issuingOf(), first);
  fault = undefined;
  // Tried again, though not with every certificate.
  assert.equal(await issuingOf(), first);
  clock.advance(60_000);
  assert.notEqual(await issuingOf(), first);
  fault = new Error('no space left');
  clock.advance(366 * 86_400_000);
  await assert.rejects(issue(), { code: 'bad-validity' });
});

test('openAuthority() refuses another key file, another trust domain and damaged keys', async t => {
  const { directory, open } = await setUp(t);
  await open();
  await assert.rejects(open('a.test', join(directory, 'other-key')), { code: 'wrong-key' });
  await assert.rejects(open('b.test'), { code: 'other-trust-domain' });
  const path = join(directory, 'ca', 'issuing.sealed');
  const sealed = await readFile(path);
  await writeFile(path, sealed.subarray(0, sealed.byteLength - 1));
  await assert.rejects(open(), { code: 'damaged' });
  await writeFile(path, await readFile(join(directory, 'ca', 'root.sealed')));
  await assert.rejects(open(), { code: 'damaged' });
});

test('no file of the authority shows a private key or is open to others', async t => {
  const { directory, open } = await setUp(t);
  await open();
  for (const name of await readdir(join(directory, 'ca'))) {
    const path = join(directory, 'ca', name);
    assert.equal((await stat(path)).mode & 0o077, 0, name);
    assert.equal((await readFile(path, 'latin1')).includes('rivate'), false, name);
  }
});

for (const [what, pem, code] of [
  ['garbage', 'garbage', 'malformed-request'],
  ['nothing', '', 'malformed-request'],
  ['a very long text', 'A'.repeat(100_000), 'malformed-request'],
  ['a key on another curve', request('P-384', 'sha256'), 'bad-key'],
  ['a signature over other bytes', request('P-256', 'sha512'), 'bad-signature'],
] as const) {
  test(`issueIdentity() refuses a request with ${what}`, async t => {
    const { open } = await setUp(t);
    const authority = await open();
    await assert.rejects(authority.issueIdentity({ requestPem: pem, identity: WEB, validity: HOUR }), {
      code,
    });
  });
}

test('issueIdentity() refuses a request for a key that its maker does not hold', async t => {
  const { open } = await setUp(t);
  const mine = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const theirs = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = theirs.publicKey.export({ type: 'spki', format: 'der' });
  const requestPem = encodeCertificateRequest(spki, bytes => sign('sha256', bytes, mine.privateKey));
  await assert.rejects((await open()).issueIdentity({ requestPem, identity: WEB, validity: HOUR }), {
    code: 'bad-signature',
  });
});

test('issueIdentity() makes expired certificates when told to, and none that outlives its issuer', async t => {
  const { clock, open } = await setUp(t);
  const authority = await open();
  const between = (notBeforeMs: number, notAfterMs: number) =>
    authority.issueIdentity({
      requestPem: request(),
      identity: WEB,
      validity: { kind: 'between', notBeforeMs, notAfterMs },
    });
  const nowMs = clock.nowMs();
  const expired = await between(nowMs - 7_200_000, nowMs - 3_600_000);
  assert.ok(expired.notAfterMs < nowMs);
  await assert.rejects(between(nowMs, nowMs - 5000), { code: 'bad-validity' });
  await assert.rejects(between(nowMs, nowMs + 400 * 86_400_000), { code: 'bad-validity' });
});
