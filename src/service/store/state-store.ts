/** What control must not forget. Every write is on the disk when its call returns. */
export interface StateStore {
  readonly state: () => StoredState;
  /**
   * Makes a change of the whole system in one transaction: all of it survives, or nothing.
   *
   * @throws {StoreError} `stale-version` when `version` is not higher than all before: two controls on one state
   */
  readonly saveChange: (change: StoredChange) => void;
  /** The envelopes of the last version. */
  readonly bundles: () => StoredBundle[];
  /** Models that were applied, the last first. */
  readonly models: (max: number) => StoredModel[];
  readonly points: () => StoredPoint[];
  readonly savePoints: (points: readonly StoredPoint[]) => void;
  readonly close: () => void;
}

export type StoredState = {
  /** Of the last change; 0 before the first. */
  readonly version: number;
  readonly model: StoredModel | undefined;
  readonly revokedServices: readonly RevokedService[];
  readonly revokedSerials: readonly RevokedSerial[];
};

export type StoredModel = {
  /** The name under which it was given, for messages. */
  readonly file: string;
  /** Absolute folder from which relative paths of the model start. */
  readonly directory: string;
  readonly text: string;
  /** `sha256:<hex>` of the text. */
  readonly digest: string;
  readonly appliedAtMs: number;
};

export type RevokedService = { readonly service: string; readonly identity: string; readonly atMs: number };

/** `serial`: lower-case hex without leading zeros; forgotten after `untilMs`, when the certificate is past its time. */
export type RevokedSerial = { readonly serial: string; readonly untilMs: number };

export type StoredBundle = { readonly point: string; readonly digest: string; readonly envelope: string };

export type StoredChange = {
  readonly version: number;
  /** Left out when the model stays. */
  readonly model?: StoredModel;
  readonly revokedServices: readonly RevokedService[];
  readonly revokedSerials: readonly RevokedSerial[];
  readonly bundles: readonly StoredBundle[];
};

export type StoredPoint = {
  readonly name: string;
  readonly kind: 'gateway' | 'agent';
  readonly enrolledAtMs: number;
  readonly lastSeenMs: number;
  readonly appliedVersion: number;
};
