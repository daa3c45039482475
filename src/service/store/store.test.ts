import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { openSqliteStore, type StoredChange } from '#service/store';

async function setUp(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-store-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return { directory, file: join(directory, 'control.db') };
}

const change = (version: number, more: Partial<StoredChange> = {}): StoredChange => ({
  version,
  revokedServices: [],
  revokedSerials: [],
  bundles: [],
  ...more,
});
const model = {
  file: 'ringwall.yaml',
  directory: '/srv',
  text: 'system: a',
  digest: 'sha256:00',
  appliedAtMs: 5,
};
const revokedServices = [
  { service: 'pay', identity: 'spiffe://a/ns/default/sa/pay', atMs: 7, adoptedFrom: '' },
];
const revokedSerials = [{ serial: 'ab12', untilMs: 9 }];
const bundles = [{ point: 'agent', digest: 'sha256:11', envelope: '{}' }];

test('an empty state has version 0 and nothing in it', async t => {
  const store = openSqliteStore((await setUp(t)).file);
  assert.deepEqual(store.state(), {
    version: 0,
    lostVersion: 0,
    model: undefined,
    revokedServices: [],
    revokedSerials: [],
  });
  assert.deepEqual([store.bundles(), store.models(10), store.points()], [[], [], []]);
  store.close();
});

test('a change is there after closing and opening', async t => {
  const { file } = await setUp(t);
  const before = openSqliteStore(file);
  before.saveChange(change(1, { model, revokedServices, revokedSerials, bundles }));
  before.close();
  const after = openSqliteStore(file);
  assert.deepEqual(plain(after.state().model), model);
  assert.deepEqual(plain(after.state().revokedServices), revokedServices);
  assert.deepEqual(plain(after.state().revokedSerials), revokedSerials);
  assert.deepEqual(plain(after.bundles()), bundles);
  after.close();
});

test('a change without a model keeps the model, and replaces revocations and bundles', async t => {
  const store = openSqliteStore((await setUp(t)).file);
  store.saveChange(change(1, { model, revokedServices, revokedSerials, bundles }));
  store.saveChange(change(2, { bundles: [{ point: 'gateway', digest: 'sha256:22', envelope: '[]' }] }));
  assert.deepEqual(plain(store.state()), {
    version: 2,
    lostVersion: 0,
    model,
    revokedServices: [],
    revokedSerials: [],
  });
  assert.deepEqual(plain(store.bundles()), [{ point: 'gateway', digest: 'sha256:22', envelope: '[]' }]);
  store.close();
});

test('models() gives the last model first, and no more than asked for', async t => {
  const store = openSqliteStore((await setUp(t)).file);
  for (let version = 1; version <= 3; version++)
    store.saveChange(change(version, { model: { ...model, appliedAtMs: version } }));
  assert.deepEqual(
    store.models(2).map(({ appliedAtMs }) => appliedAtMs),
    [3, 2],
  );
  store.close();
});

test('saveChange() refuses a version that is not higher', async t => {
  const store = openSqliteStore((await setUp(t)).file);
  store.saveChange(change(2));
  for (const version of [0, 1, 2])
    assert.throws(() => store.saveChange(change(version)), { code: 'stale-version' });
  store.saveChange(change(3));
  assert.equal(store.state().version, 3);
  store.close();
});

test('openSqliteStore() refuses a state that is open already, until it is closed', async t => {
  const { file } = await setUp(t);
  const store = openSqliteStore(file);
  assert.throws(() => openSqliteStore(file), { code: 'in-use' });
  store.close();
  openSqliteStore(file).close();
});

test('a change that fails half-way leaves nothing of itself', async t => {
  const store = openSqliteStore((await setUp(t)).file);
  store.saveChange(change(1, { model, bundles }));
  const twice = [...bundles, ...bundles];
  assert.throws(() =>
    store.saveChange(change(2, { model: { ...model, text: 'b' }, revokedServices, bundles: twice })),
  );
  assert.deepEqual(plain(store.state()), {
    version: 1,
    lostVersion: 0,
    model,
    revokedServices: [],
    revokedSerials: [],
  });
  assert.deepEqual(plain(store.bundles()), bundles);
  store.close();
});

test('issued() knows what each point was given in the last thousand changes, and that it has forgotten the rest', async t => {
  const { file } = await setUp(t);
  const store = openSqliteStore(file);
  assert.deepEqual(store.issued('agent', 1), { kind: 'unknown' });
  // Versions may jump.
  const versions = [1, 5, ...Array.from({ length: 1023 }, (_, i) => 10 + i)];
  for (const version of versions)
    store.saveChange(
      change(version, { bundles: [{ point: 'agent', digest: `d${version}`, envelope: '{}' }] }),
    );
  store.close();
  const again = openSqliteStore(file);
  assert.deepEqual(again.issued('agent', 1), { kind: 'forgotten' });
  assert.deepEqual(again.issued('agent', 5), { kind: 'issued', digest: 'd5' });
  assert.deepEqual(again.issued('agent', 1032), { kind: 'issued', digest: 'd1032' });
  for (const [point, version] of [
    ['agent', 6],
    ['agent', 1033],
    ['gateway', 5],
    ['constructor', 5],
  ] as const)
    assert.deepEqual(again.issued(point, version), { kind: 'unknown' });
  again.close();
});

test('the highest version that was taken over from a lost state stays', async t => {
  const store = openSqliteStore((await setUp(t)).file);
  store.saveChange(change(8, { lostVersion: 7 }));
  store.saveChange(change(9, { lostVersion: 3 }));
  store.saveChange(change(10));
  assert.equal(store.state().lostVersion, 7);
  store.close();
});

test('two services of one name in different namespaces can be revoked', async t => {
  const store = openSqliteStore((await setUp(t)).file);
  const elsewhere = { ...revokedServices[0]!, identity: 'spiffe://a/ns/prod/sa/pay', adoptedFrom: 'agent' };
  store.saveChange(change(1, { revokedServices: [...revokedServices, elsewhere] }));
  assert.deepEqual(plain(store.state().revokedServices), [...revokedServices, elsewhere]);
  store.close();
});

test('a state of the first schema is brought up with all that it holds', async t => {
  const { file } = await setUp(t);
  const now = openSqliteStore(file);
  now.saveChange(change(4, { model, revokedServices, revokedSerials, bundles }));
  now.close();
  const db = new DatabaseSync(file);
  db.exec(`DROP TABLE issued; ALTER TABLE latest DROP COLUMN lost;
    CREATE TABLE first (service TEXT PRIMARY KEY, identity TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
    INSERT INTO first SELECT service, identity, at_ms FROM revoked_service;
    DROP TABLE revoked_service; ALTER TABLE first RENAME TO revoked_service; PRAGMA user_version = 1`);
  db.close();
  const store = openSqliteStore(file);
  assert.deepEqual(plain(store.state()), {
    version: 4,
    lostVersion: 0,
    model,
    revokedServices,
    revokedSerials,
  });
  assert.deepEqual(store.issued('agent', 4), { kind: 'issued', digest: 'sha256:11' });
  assert.deepEqual(store.issued('agent', 3), { kind: 'forgotten' });
  store.saveChange(change(5));
  store.close();
});

test('savePoints() updates points by their name', async t => {
  const store = openSqliteStore((await setUp(t)).file);
  const point = { name: 'agent', kind: 'agent' as const, enrolledAtMs: 1, lastSeenMs: 2, appliedVersion: 3 };
  store.savePoints([point]);
  store.savePoints([
    { ...point, lastSeenMs: 9, appliedVersion: 4 },
    { ...point, name: 'gateway', kind: 'gateway' },
  ]);
  assert.deepEqual(plain(store.points()), [
    { ...point, lastSeenMs: 9, appliedVersion: 4 },
    { ...point, name: 'gateway', kind: 'gateway' },
  ]);
  store.close();
});

test('no file of the store is open to others', async t => {
  const { directory, file } = await setUp(t);
  const store = openSqliteStore(file);
  store.saveChange(change(1));
  const names = await readdir(directory);
  assert.ok(names.length > 1);
  for (const name of names) assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name);
  store.close();
});

test('openSqliteStore() refuses a file that is no database, and one of a newer release', async t => {
  const { directory, file } = await setUp(t);
  await writeFile(file, 'not a database, but long enough to be looked at as one by SQLite'.repeat(20));
  assert.throws(() => openSqliteStore(file), { code: 'damaged' });
  const newer = join(directory, 'newer.db');
  openSqliteStore(newer).close();
  const db = new DatabaseSync(newer);
  db.exec('PRAGMA user_version = 99');
  db.close();
  assert.throws(() => openSqliteStore(newer), { code: 'newer-release' });
});

/** SQLite's rows have no prototype. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
