import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { Name } from '@peculiar/asn1-x509';
import { peerIdentity } from '#domain/x509';
import { encodeLeafCertificate } from './leaf-certificate.ts';

const WEB = 'spiffe://a.test/ns/default/sa/web';
const ISSUER = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  type: 'spki',
  format: 'der',
});

test('encodeLeafCertificate() makes an X.509-SVID that others read as it is meant', () => {
  const leaf = makeLeaf();
  assert.deepEqual(peerIdentity(leaf), { kind: 'identity', id: WEB, trustDomain: 'a.test' });
  assert.equal(leaf.verify(ISSUER.publicKey), true);
  assert.equal(leaf.serialNumber, '4A00FF');
  assert.equal(leaf.validFrom, 'Jan  2 03:04:05 2026 GMT');
  assert.equal(leaf.validTo, 'Dec 31 23:59:59 2049 GMT');
  assert.equal(makeLeaf({ notAfterMs: Date.UTC(2050, 0, 1) }).validTo, 'Jan  1 00:00:00 2050 GMT');
  const named = makeLeaf({ names: { kind: 'identity', identity: WEB, commonName: 'agent' } });
  assert.equal(named.subject, 'O=Ringwall\nCN=agent');
});

test('encodeLeafCertificate() refuses names and addresses that it cannot write', () => {
  const server = { kind: 'server', dnsNames: ['a.test'], addresses: ['127.0.0.1'] } as const;
  assert.equal(makeLeaf({ names: server }).checkIP('127.0.0.1'), '127.0.0.1');
  assert.equal(makeLeaf({ names: { ...server, addresses: ['::1'] } }).checkIP('::1'), '::1');
  for (const names of [
    { ...server, dnsNames: ['ä.test'] },
    { ...server, dnsNames: ['a.test\0b.test'] },
    { ...server, dnsNames: [''] },
    { ...server, addresses: ['127.0.0.256'] },
    { ...server, addresses: ['127.0.0'] },
    { kind: 'identity', identity: 'spiffe://a/ü', commonName: undefined } as const,
  ])
    assert.throws(() => makeLeaf({ names }));
});

function makeLeaf(more: Partial<Parameters<typeof encodeLeafCertificate>[0]> = {}): X509Certificate {
  const der = encodeLeafCertificate(
    {
      serial: Buffer.from('4a00ff', 'hex'),
      issuer: { name: new Name(), keyId: Buffer.alloc(20, 1) },
      publicKey: KEY,
      names: { kind: 'identity', identity: WEB, commonName: undefined },
      notBeforeMs: Date.UTC(2026, 0, 2, 3, 4, 5),
      notAfterMs: Date.UTC(2049, 11, 31, 23, 59, 59),
      ...more,
    },
    bytes => sign('sha256', bytes, ISSUER.privateKey),
  );
  return new X509Certificate(der);
}
