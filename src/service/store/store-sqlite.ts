import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { CodedError, quote } from '#base/error';
import { migrate } from './migrations.ts';
import type {
  IssuedBundle,
  RevokedSerial,
  RevokedService,
  StateStore,
  StoredBundle,
  StoredChange,
  StoredModel,
  StoredPoint,
  StoredState,
} from './state-store.ts';

export class StoreError extends CodedError<'in-use' | 'stale-version' | 'newer-release' | 'damaged'> {}

/**
 * Opens the state in an SQLite file of mode 0600.
 *
 * CRASH: write-ahead log with full synchronisation; a change is there as a whole or not at all.
 * @throws {StoreError} `in-use` when another process has it open, `newer-release` or `damaged`
 */
export function openSqliteStore(file: string): StateStore {
  // SQLite gives its companion files the mode of the main one.
  closeSync(openSync(file, 'a', 0o600));
  const db = openDatabase(file);
  return {
    state: () => readState(db),
    saveChange: change => inTransaction(db, () => writeChange(db, change)),
    bundles: () => db.prepare('SELECT point, digest, envelope FROM bundle').all() as StoredBundle[],
    issued: (point, version) => readIssued(db, point, version),
    models: max => db.prepare(`${SELECT_MODELS} LIMIT ?`).all(max) as StoredModel[],
    points: () => db.prepare(SELECT_POINTS).all() as StoredPoint[],
    savePoints: points => inTransaction(db, () => writePoints(db, points)),
    close: () => db.close(),
  };
}

/** What the bundles of so many changes were called is remembered. */
const MAX_CHANGES_REMEMBERED = 1024;

const SELECT_MODELS =
  'SELECT file, directory, text, digest, applied_at_ms AS appliedAtMs FROM model ORDER BY id DESC';
const SELECT_POINTS = `SELECT name, kind, enrolled_at_ms AS enrolledAtMs, last_seen_ms AS lastSeenMs,
  applied_version AS appliedVersion FROM point ORDER BY name`;
const FORGET_ISSUED =
  'DELETE FROM issued WHERE version < (SELECT version FROM issued ORDER BY version DESC LIMIT 1 OFFSET ?)';
const UPSERT_POINT = `INSERT INTO point (name, kind, enrolled_at_ms, last_seen_ms, applied_version) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, enrolled_at_ms = excluded.enrolled_at_ms,
  last_seen_ms = excluded.last_seen_ms, applied_version = excluded.applied_version`;

function openDatabase(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file);
    // Exclusive: one control per state. The kernel drops the lock with the process, however that ends.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    const newest = migrate(db);
    if (newest.kind === 'newer') {
      throw new StoreError(
        'newer-release',
        `${quote(file)} was written by a newer release (schema ${newest.version})`,
      );
    }
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof StoreError) throw error;
    if (isLocked(error))
      throw new StoreError('in-use', `another control plane runs on ${quote(file)}`, { cause: error });
    throw new StoreError(
      'damaged',
      `the state in ${quote(file)} cannot be read: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** SQLITE_BUSY and SQLITE_LOCKED (sqlite.org/rescode.html). */
function isLocked(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (error.errcode === 5 || error.errcode === 6);
}

function readState(db: DatabaseSync): StoredState {
  return {
    ...readLatest(db),
    model: db.prepare(`${SELECT_MODELS} LIMIT 1`).get() as StoredModel | undefined,
    revokedServices: db
      .prepare(
        'SELECT service, identity, at_ms AS atMs, adopted_from AS adoptedFrom FROM revoked_service ORDER BY identity',
      )
      .all() as RevokedService[],
    revokedSerials: db
      .prepare('SELECT serial, until_ms AS untilMs FROM revoked_serial ORDER BY serial')
      .all() as RevokedSerial[],
  };
}

function readLatest(db: DatabaseSync): Pick<StoredState, 'version' | 'lostVersion'> {
  const row = db.prepare('SELECT version, lost FROM latest').get() as { version: number; lost: number };
  return { version: row.version, lostVersion: row.lost };
}

function writeChange(db: DatabaseSync, change: StoredChange): void {
  const latest = readLatest(db);
  if (change.version <= latest.version) {
    throw new StoreError('stale-version', 'the state has moved on: is another control plane running on it?');
  }
  const lostVersion = Math.max(latest.lostVersion, change.lostVersion ?? 0);
  db.prepare('UPDATE latest SET version = ?, lost = ?').run(change.version, lostVersion);
  if (change.model !== undefined) {
    const { file, directory, text, digest, appliedAtMs } = change.model;
    db.prepare('INSERT INTO model (file, directory, text, digest, applied_at_ms) VALUES (?, ?, ?, ?, ?)').run(
      file,
      directory,
      text,
      digest,
      appliedAtMs,
    );
  }
  db.exec('DELETE FROM revoked_service; DELETE FROM revoked_serial; DELETE FROM bundle');
  const service = db.prepare(
    'INSERT INTO revoked_service (service, identity, at_ms, adopted_from) VALUES (?, ?, ?, ?)',
  );
  for (const { service: name, identity, atMs, adoptedFrom } of change.revokedServices)
    service.run(name, identity, atMs, adoptedFrom);
  const serial = db.prepare('INSERT INTO revoked_serial (serial, until_ms) VALUES (?, ?)');
  for (const { serial: number, untilMs } of change.revokedSerials) serial.run(number, untilMs);
  const bundle = db.prepare('INSERT INTO bundle (point, digest, envelope) VALUES (?, ?, ?)');
  for (const { point, digest, envelope } of change.bundles) bundle.run(point, digest, envelope);
  const digests = Object.fromEntries(change.bundles.map(({ point, digest }) => [point, digest]));
  db.prepare('INSERT INTO issued (version, digests) VALUES (?, ?)').run(
    change.version,
    JSON.stringify(digests),
  );
  db.prepare(FORGET_ISSUED).run(MAX_CHANGES_REMEMBERED - 1);
}

function readIssued(db: DatabaseSync, point: string, version: number): IssuedBundle {
  const change = db.prepare('SELECT digests FROM issued WHERE version = ?').get(version) as
    { digests: string } | undefined;
  const digests = new Map(Object.entries(JSON.parse(change?.digests ?? '{}') as Record<string, string>));
  const digest = digests.get(point);
  if (digest !== undefined) return { kind: 'issued', digest };
  const { oldest } = db.prepare('SELECT min(version) AS oldest FROM issued').get() as {
    oldest: number | null;
  };
  return oldest === null || version >= oldest ? { kind: 'unknown' } : { kind: 'forgotten' };
}

function writePoints(db: DatabaseSync, points: readonly StoredPoint[]): void {
  const upsert = db.prepare(UPSERT_POINT);
  for (const { name, kind, enrolledAtMs, lastSeenMs, appliedVersion } of points) {
    upsert.run(name, kind, enrolledAtMs, lastSeenMs, appliedVersion);
  }
}

function inTransaction(db: DatabaseSync, work: () => void): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    work();
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}
