import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bundlePath,
  decodeBundle,
  EMPTY_ROOT,
  encodeBundle,
  hashLeaf,
  MerkleError,
  RightEdge,
  rootOf,
  TileEdge,
  tilePath,
  tileWidth,
  TreeReader,
  verifyConsistency,
  verifyInclusion,
} from './index.ts';
import {
  naiveConsistency,
  naiveInclusion,
  naiveRoot,
  numberedEntries,
  tilesOf,
} from './naive-tree.fixture.ts';

const hex = (hash: Uint8Array) => Buffer.from(hash).toString('hex');
const code = (expected: string) => (error: unknown) =>
  error instanceof MerkleError && error.code === expected;

test('hashes are those of RFC 6962 §2.1', () => {
  assert.equal(hex(EMPTY_ROOT), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  assert.equal(
    hex(hashLeaf(Buffer.alloc(0))),
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  );
});

test('RightEdge and TileEdge grow to the root of the naive tree at every size', () => {
  const entries = numberedEntries(600);
  const edge = new RightEdge();
  const tiles = TileEdge.empty();
  for (const [index, entry] of entries.entries()) {
    if (index < 70 || index % 37 === 0 || (index > 250 && index < 260)) {
      const root = hex(naiveRoot(entries.slice(0, index)));
      assert.equal(hex(edge.root()), root, `size ${index}`);
      assert.equal(hex(tiles.root()), root, `size ${index}`);
    }
    edge.append(hashLeaf(entry));
    tiles.append(hashLeaf(entry));
  }
});

test('proofs from tiles equal those of the naive tree, and verify', async () => {
  const entries = numberedEntries(530);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 530 }), fc.nat(), fc.nat(), async (size, pick, older) => {
      const tree = entries.slice(0, size);
      const index = pick % size;
      const oldSize = 1 + (older % size);
      const reader = new TreeReader(size, tilesOf(tree).read);
      const root = naiveRoot(tree);
      const inclusion = await reader.proveInclusion(index);
      assert.deepEqual(inclusion.map(hex), naiveInclusion(index, tree).map(hex));
      verifyInclusion({ index, size, leafHash: hashLeaf(tree[index] ?? Buffer.alloc(0)), root }, inclusion);
      const consistency = await reader.proveConsistency(oldSize);
      assert.deepEqual(consistency.map(hex), naiveConsistency(oldSize, tree).map(hex));
      const root1 = naiveRoot(tree.slice(0, oldSize));
      verifyConsistency({ size1: oldSize, root1, size2: size, root2: root }, consistency);
      assert.equal(hex(await reader.root()), hex(root));
    }),
    { numRuns: 60 },
  );
});

test('verifyInclusion() rejects every other entry, index and changed proof', async () => {
  const entries = numberedEntries(37);
  const reader = new TreeReader(37, tilesOf(entries).read);
  const root = naiveRoot(entries);
  const proof = await reader.proveInclusion(20);
  const claim = { index: 20, size: 37, leafHash: hashLeaf(Buffer.from('entry 20')), root };
  verifyInclusion(claim, proof);
  assert.throws(() => verifyInclusion({ ...claim, index: 21 }, proof), MerkleError);
  assert.throws(() => verifyInclusion({ ...claim, index: 37 }, proof), code('not-in-tree'));
  assert.throws(() => verifyInclusion({ ...claim, index: -1 }, proof), code('not-in-tree'));
  assert.throws(() => verifyInclusion({ ...claim, index: 0.5 }, proof), code('not-in-tree'));
  assert.throws(() => verifyInclusion({ ...claim, size: 2 ** 53 }, proof), code('not-in-tree'));
  assert.throws(
    () => verifyInclusion({ ...claim, leafHash: hashLeaf(Buffer.from('x')) }, proof),
    code('wrong-root'),
  );
  assert.throws(() => verifyInclusion({ ...claim, leafHash: Buffer.alloc(31) }, proof), code('wrong-proof'));
  assert.throws(() => verifyInclusion(claim, proof.slice(1)), MerkleError);
  assert.throws(() => verifyInclusion(claim, [...proof, ...proof]), code('wrong-proof'));
});

test('TreeReader refuses entries and trees that it does not have', async () => {
  const reader = new TreeReader(5, tilesOf(numberedEntries(5)).read);
  await assert.rejects(reader.proveInclusion(5), code('not-in-tree'));
  await assert.rejects(reader.proveInclusion(-1), code('not-in-tree'));
  await assert.rejects(reader.proveConsistency(0), code('not-in-tree'));
  await assert.rejects(reader.proveConsistency(6), code('not-in-tree'));
  const short = new TreeReader(5, async () => Buffer.alloc(64));
  await assert.rejects(short.proveInclusion(1), code('bad-tile'));
});

test('TileEdge.open() continues a tree as if it had never been away', async () => {
  for (const size of [0, 1, 255, 256, 257, 511, 512, 700]) {
    const entries = numberedEntries(size + 300);
    const before = tilesOf(entries.slice(0, size));
    const edge = await TileEdge.open(size, before.edge.root(), before.read);
    for (const entry of entries.slice(size)) edge.append(hashLeaf(entry));
    const whole = tilesOf(entries);
    assert.equal(hex(edge.root()), hex(whole.edge.root()));
    assert.deepEqual(edge.partialTiles(), whole.edge.partialTiles());
  }
});

test('TileEdge.open() rejects tiles that do not lead to the root', async () => {
  const { edge, tiles, read } = tilesOf(numberedEntries(300));
  const tile = tiles.get('tile/0/001.p/44');
  assert.ok(tile);
  tile[7] = (tile[7] ?? 0) ^ 1;
  await assert.rejects(TileEdge.open(300, edge.root(), read), code('wrong-root'));
});

test('TileEdge.copy() grows on its own', () => {
  const { edge } = tilesOf(numberedEntries(300));
  const root = hex(edge.root());
  const copy = edge.copy();
  copy.append(hashLeaf(Buffer.from('one more')));
  assert.equal(hex(edge.root()), root);
  assert.notEqual(hex(copy.root()), root);
});

test('tile paths are those of C2SP tlog-tiles', () => {
  assert.equal(tilePath({ level: 0, index: 0, width: 256 }), 'tile/0/000');
  assert.equal(tilePath({ level: 3, index: 1_234_067, width: 256 }), 'tile/3/x001/x234/067');
  assert.equal(tilePath({ level: 1, index: 1_234, width: 17 }), 'tile/1/x001/234.p/17');
  assert.equal(bundlePath(273, 112), 'tile/entries/273.p/112');
});

test('tileWidth() follows the example of C2SP tlog-tiles for a tree of 70,000', () => {
  assert.equal(tileWidth(0, 272, 70_000), 256);
  assert.equal(tileWidth(0, 273, 70_000), 112);
  assert.equal(tileWidth(0, 274, 70_000), 0);
  assert.equal(tileWidth(1, 0, 70_000), 256);
  assert.equal(tileWidth(1, 1, 70_000), 17);
  assert.equal(tileWidth(2, 0, 70_000), 1);
  assert.equal(tileWidth(3, 0, 70_000), 0);
});

test('decodeBundle() reads what encodeBundle() wrote', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), entries => {
      const { entries: again, restBytes } = decodeBundle(encodeBundle(entries), 256);
      assert.deepEqual(
        again.map(entry => [...entry]),
        entries.map(entry => [...entry]),
      );
      assert.equal(restBytes, 0);
    }),
  );
});

test('decodeBundle() stops at a length that leads out of the bytes', () => {
  const bytes = encodeBundle([Buffer.from('one'), Buffer.from('two')]);
  assert.deepEqual(decodeBundle(bytes.subarray(0, -1), 256), { entries: [Buffer.from('one')], restBytes: 4 });
  assert.deepEqual(decodeBundle(bytes, 1), { entries: [Buffer.from('one')], restBytes: 5 });
  assert.deepEqual(decodeBundle(Buffer.of(0), 256), { entries: [], restBytes: 1 });
});

test('encodeBundle() rejects an entry that has no length in two bytes', () => {
  assert.throws(() => encodeBundle([Buffer.alloc(65_536)]), code('entry-too-long'));
  assert.equal(encodeBundle([Buffer.alloc(65_535)]).byteLength, 65_537);
});

test('rootOf() of one hash is that hash', () => {
  const leaf = hashLeaf(Buffer.from('a'));
  assert.equal(hex(rootOf([leaf])), hex(leaf));
});
