import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The service's own database, `DATA_DIR/<name>.sqlite`. @param schema statements that may run at every start */
export function openStore(name: string, schema: string): DatabaseSync {
  const directory = process.env['DATA_DIR'] ?? 'data';
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const store = new DatabaseSync(join(directory, `${name}.sqlite`));
  store.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 3000; PRAGMA cache_size = -512;',
  );
  store.exec(schema);
  return store;
}
