import type { DatabaseSync } from 'node:sqlite';

/** Each entry takes the schema one version further. Released entries never change. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE latest (version INTEGER NOT NULL) STRICT;
   INSERT INTO latest (version) VALUES (0);
   CREATE TABLE model (
     id INTEGER PRIMARY KEY, file TEXT NOT NULL, directory TEXT NOT NULL, text TEXT NOT NULL, digest TEXT NOT NULL,
     applied_at_ms INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE revoked_service (service TEXT PRIMARY KEY, identity TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
   CREATE TABLE revoked_serial (serial TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) STRICT;
   CREATE TABLE bundle (point TEXT PRIMARY KEY, digest TEXT NOT NULL, envelope TEXT NOT NULL) STRICT;
   CREATE TABLE point (
     name TEXT PRIMARY KEY, kind TEXT NOT NULL, enrolled_at_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL,
     applied_version INTEGER NOT NULL
   ) STRICT;`,
  `CREATE TABLE revoked (
     identity TEXT PRIMARY KEY, service TEXT NOT NULL, at_ms INTEGER NOT NULL, adopted_from TEXT NOT NULL
   ) STRICT;
   INSERT INTO revoked SELECT identity, service, at_ms, '' FROM revoked_service;
   DROP TABLE revoked_service;
   ALTER TABLE revoked RENAME TO revoked_service;
   ALTER TABLE latest ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
   CREATE TABLE issued (version INTEGER PRIMARY KEY, digests TEXT NOT NULL) STRICT;
   INSERT INTO issued SELECT latest.version, json_group_object(bundle.point, bundle.digest) FROM latest, bundle
     HAVING count(*) > 0;`,
];

/** Brings the schema to this release's version; a newer one is left alone. */
export function migrate(db: DatabaseSync): { kind: 'current' } | { kind: 'newer'; version: number } {
  const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > MIGRATIONS.length) return { kind: 'newer', version };
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index >= version) db.exec(`BEGIN IMMEDIATE; ${sql} PRAGMA user_version = ${index + 1}; COMMIT`);
  }
  return { kind: 'current' };
}
