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
  /** What a point was to apply as `version`; the last thousand changes are remembered. */
  readonly issued: (point: string, version: number) => IssuedBundle;
  /** Models that were applied, the last first. */
  readonly models: (max: number) => StoredModel[];
  readonly points: () => StoredPoint[];
  readonly savePoints: (points: readonly StoredPoint[]) => void;
  readonly close: () => void;
}

export type StoredState = {
  /** Of the last change; 0 before the first. */
  readonly version: number;
  /** The highest version of a lost state that was taken over; 0 when none ever was. */
  readonly lostVersion: number;
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

export type RevokedService = {
  readonly service: string;
  readonly identity: string;
  readonly atMs: number;
  /** The point that brought the revocation back when this state had lost it; empty when it was made here. */
  readonly adoptedFrom: string;
};

/** `serial`: lower-case hex without leading zeros; forgotten after `untilMs`, when the certificate is past its time. */
export type RevokedSerial = { readonly serial: string; readonly untilMs: number };

export type IssuedBundle =
  | { readonly kind: 'issued'; readonly digest: string }
  /** This state never made one with this version for the point. */
  | { readonly kind: 'unknown' }
  /** From before all that is remembered. */
  | { readonly kind: 'forgotten' };

export type StoredBundle = { readonly point: string; readonly digest: string; readonly envelope: string };

export type StoredChange = {
  readonly version: number;
  /** When the change takes over a lost state. */
  readonly lostVersion?: number;
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
