/**
 * The state of control: models, bundle versions, revocations, points. One port, kept in SQLite.
 *
 * Small and rarely written. Records are the ledger's, private keys are sealed files of `#service/ca`.
 */
export type {
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
export { openSqliteStore, StoreError } from './store-sqlite.ts';
