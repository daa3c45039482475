import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import {
  formatKey,
  formatProof,
  hashLeaf,
  MerkleError,
  noteKey,
  openCheckpoint,
  openNote,
  parseCheckpoint,
  parseKey,
  parseProof,
  signCheckpoint,
  signNote,
  TreeReader,
  verifyProof,
  type Signer,
} from './index.ts';
import { numberedEntries, tilesOf } from './naive-tree.fixture.ts';

const code = (expected: string) => (error: unknown) =>
  error instanceof MerkleError && error.code === expected;

function newSigner(keyName: string): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { keyName, publicKey: raw, sign: bytes => sign(null, bytes, privateKey) };
}

const signer = newSigner('boutique.internal/ledger');
const key = noteKey(signer.keyName, signer.publicKey);

// The example of golang.org/x/mod/sumdb/note, made by another implementation.
const FOREIGN_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const FOREIGN_NOTE =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';

test('openNote() opens a note of another implementation', () => {
  assert.match(openNote(FOREIGN_NOTE, parseKey(FOREIGN_KEY)), /^If you think/);
});

test('openNote() gives the text that was signed', () => {
  const text = 'one\n\ntwo\n';
  assert.equal(openNote(signNote(text, signer), key), text);
});

test('openNote() ignores signatures of other keys, also of the same name', () => {
  const note = signNote('text\n', signer);
  const witness = signNote('text\n', newSigner('witness.example')).split('\n').at(-2);
  const namesake = signNote('text\n', newSigner(signer.keyName)).split('\n').at(-2);
  assert.equal(openNote(`${note}${witness}\n${namesake}\n`, key), 'text\n');
});

test('openNote() rejects what its key has not signed', () => {
  const note = signNote('text\n', signer);
  assert.throws(() => openNote(note.replace('text', 'test'), key), code('wrong-signature'));
  assert.throws(() => openNote(signNote('text\n', newSigner(signer.keyName)), key), code('unknown-signer'));
  assert.throws(() => openNote(signNote('text\n', newSigner('other')), key), code('unknown-signer'));
  for (const bad of [
    '',
    'text\n',
    note.slice(0, -1),
    `${note}garbage\n`,
    note.replace('—', '-'),
    note.replace('te', 't\t'),
  ]) {
    assert.throws(() => openNote(bad, key), code('bad-note'), JSON.stringify(bad));
  }
  const lines = note.split('\n').at(-2) ?? '';
  assert.throws(() => openNote(`${note}${`${lines}\n`.repeat(64)}`, key), code('bad-note'));
});

test('openNote() rejects a second, wrong signature of a known key', () => {
  const note = signNote('text\n', signer);
  const other = signNote('other\n', signer).split('\n').at(-2);
  assert.throws(() => openNote(`${note}${other}\n`, key), code('wrong-signature'));
});

test('parseKey() reads what formatKey() wrote, and nothing else', () => {
  assert.deepEqual(formatKey(parseKey(formatKey(key))), formatKey(key));
  assert.equal(formatKey(parseKey(FOREIGN_KEY)), FOREIGN_KEY);
  const text = formatKey(key);
  const [, hash = ''] = text.split('+');
  for (const bad of [
    '',
    'a+b',
    text.replace(hash, '00000000'),
    text.slice(0, -4),
    text.replace('+A', '+B'),
    `x y${text}`,
  ]) {
    assert.throws(() => parseKey(bad), code('bad-key'), bad);
  }
  assert.throws(() => noteKey('with space', signer.publicKey), code('bad-key'));
  assert.throws(() => noteKey('plus+plus', signer.publicKey), code('bad-key'));
  assert.throws(() => noteKey('', signer.publicKey), code('bad-key'));
  assert.throws(() => noteKey('short', signer.publicKey.subarray(1)), code('bad-key'));
});

test('openCheckpoint() gives size and root of a signed checkpoint', () => {
  const root = hashLeaf(Buffer.from('x'));
  const opened = openCheckpoint(signCheckpoint({ origin: signer.keyName, size: 7, root }, signer), key);
  assert.deepEqual({ ...opened, root: Buffer.from(opened.root) }, { origin: signer.keyName, size: 7, root });
});

test('openCheckpoint() rejects the checkpoint of another log that the same key signed', () => {
  const note = signCheckpoint({ origin: 'another.log', size: 7, root: hashLeaf(Buffer.from('x')) }, signer);
  assert.throws(() => openCheckpoint(note, key), code('wrong-origin'));
});

test('parseCheckpoint() rejects everything but three lines and extensions', () => {
  const root = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=';
  assert.equal(parseCheckpoint(`log\n20852163\n${root}\nextension\n`).size, 20_852_163);
  for (const bad of [
    '',
    `log\n1\n${root}`,
    `\n1\n${root}\n`,
    `log\n01\n${root}\n`,
    `log\n-1\n${root}\n`,
    `log\n1e3\n${root}\n`,
    `log\n9007199254740993\n${root}\n`,
    `log\n1\n${root.slice(4)}\n`,
    `log\n1\n${root.replace('=', '')}\n`,
    `log\n1\n${root}\n\nextension\n`,
  ]) {
    assert.throws(() => parseCheckpoint(bad), code('bad-checkpoint'), JSON.stringify(bad));
  }
});

test('verifyProof() follows a proof from its text to the key', async () => {
  const entries = numberedEntries(300);
  const { edge, read } = tilesOf(entries);
  const checkpoint = signCheckpoint({ origin: signer.keyName, size: 300, root: edge.root() }, signer);
  const hashes = await new TreeReader(300, read).proveInclusion(299);
  const text = formatProof({ index: 299, hashes, checkpoint, extra: Buffer.from('entry 299') });
  const proof = parseProof(text);
  assert.equal(formatProof(proof), text);
  assert.ok(proof.extra);
  assert.equal(verifyProof(proof, hashLeaf(proof.extra), key).size, 300);
  assert.throws(
    () => verifyProof({ ...proof, index: 298 }, hashLeaf(Buffer.from('entry 299')), key),
    MerkleError,
  );
  assert.throws(() => verifyProof(proof, hashLeaf(Buffer.from('entry 298')), key), code('wrong-root'));
  assert.throws(
    () => verifyProof(proof, hashLeaf(Buffer.from('entry 299')), noteKey('other', signer.publicKey)),
    code('unknown-signer'),
  );
});

test('parseProof() reads the proof of a tree with one entry', () => {
  const proof = parseProof('c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint\n');
  assert.deepEqual(proof, { index: 0, hashes: [], checkpoint: 'checkpoint\n', extra: undefined });
});

test('parseProof() rejects what the format does not allow (C2SP tlog-proof)', () => {
  const head = 'c2sp.org/tlog-proof@v1\n';
  const hash = `${Buffer.alloc(32).toString('base64')}\n`;
  for (const bad of [
    '',
    head,
    `c2sp.org/tlog-proof@v2\nindex 0\n\n`,
    `${head}index 01\n\n`,
    `${head}index -1\n\n`,
    `${head}index 0\nAAAA\n\n`,
    `${head}extra !\nindex 0\n\n`,
    `${head}index 0\nextra AAAA\n\n`,
    `${head}index 99999999999999999\n\n`,
    `${head}index 0\n${hash.repeat(64)}\n`,
    `${head}index 0\n${'x'.repeat(300_000)}\n\n`,
  ]) {
    assert.throws(() => parseProof(bad), code('bad-proof-text'), bad.slice(0, 60));
  }
});
