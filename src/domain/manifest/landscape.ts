import type { Position, Protocol } from '#domain/model';
import type { Setting } from './setting.ts';
import type { ImportProblem } from './source.ts';

/**
 * A system as its manifests show it, whatever their kind: what runs, under which names it is reached, what lets the
 * outside in. Readers (`kubernetes`, `compose`) make it; nothing below knows their formats.
 */
export type Landscape = {
  readonly kind: 'kubernetes' | 'compose';
  readonly units: readonly Unit[];
  readonly names: Names;
  readonly ways: readonly Way[];
  readonly notes: readonly Note[];
  readonly problems: readonly ImportProblem[];
  /** What the manifests themselves call the system. */
  readonly systemName: string | undefined;
  readonly documents: number;
};

/** What becomes one service of the model. */
export type Unit = {
  readonly name: string;
  /** Empty in Compose. */
  readonly namespace: string;
  /** Without, the manifests may be applied in any namespace; names then resolve leniently. */
  readonly namespaceStated: boolean;
  /** For comments: `Service cart`, `CronJob report`. */
  readonly from: string;
  readonly at: Position;
  readonly images: readonly { readonly text: string; readonly at: Position; readonly workload: string }[];
  readonly doors: readonly Door[];
  /** The most telling first. */
  readonly settings: readonly Setting[];
  /** Told to start before this unit; no sign of a call. */
  readonly startsAfter: readonly { readonly unit: string; readonly how: string; readonly at: Position }[];
  /** Names that mean another unit for this one only (`links: [db:database]`). */
  readonly ownNames: ReadonlyMap<string, string>;
  /** Units that share none of them cannot reach each other; `undefined`: any can. */
  readonly networks: ReadonlySet<string> | undefined;
};

/** A port of a unit. */
export type Door = {
  /** Where the unit listens. */
  readonly port: number;
  /** Where callers address it. */
  readonly addressedAt: readonly number[];
  readonly name: string | undefined;
  readonly protocol: Protocol | undefined;
  /** What tells the protocol: `port name grpc`, `readinessProbe`. */
  readonly toldBy: string;
  /** Of the container behind the port. */
  readonly image: string | undefined;
  readonly from: string;
  readonly at: Position;
};

/** What a host name of the manifests means. */
export type NameTarget =
  | { readonly kind: 'units'; readonly units: readonly Unit[] }
  | { readonly kind: 'outside'; readonly host: string; readonly from: string; readonly at: Position }
  | { readonly kind: 'no-target'; readonly why: string };

/** Finds what a host name means for a unit. */
export type Names = {
  readonly resolve: (
    host: string,
    from: Unit,
  ) => NameTarget | { readonly kind: 'unknown'; readonly inCluster: boolean };
};

/** One path on which the outside comes in. */
export type Way = {
  /** `undefined`: the manifests name none; then `<hostStem>.<system>.test`. */
  readonly host: string | undefined;
  readonly hostStem: string | undefined;
  readonly path: string;
  readonly methods: readonly string[] | undefined;
  readonly to: Unit;
  readonly toPort: number | undefined;
  readonly from: string;
  readonly at: Position;
  readonly remark: string | undefined;
};

export type NoteKind =
  | 'names-no-service'
  | 'unresolved'
  | 'no-service'
  | 'port'
  | 'protocol'
  | 'egress'
  | 'edge'
  | 'not-read'
  | 'order-only'
  | 'name';

/** Something that the manifests do not tell, or that the model cannot say. */
export type Note = { readonly kind: NoteKind; readonly message: string; readonly at: Position | undefined };
