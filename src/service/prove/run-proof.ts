import { aimAll, createField, type Probe, type Shot } from '#domain/attack';
import { REASONS } from '#domain/decision';
import {
  carryOver,
  drawMatrix,
  judge,
  lastOf,
  type Observation,
  type Proof,
  type ShotResult,
  type Standing,
} from '#domain/proof';
import type { TransactionRecord } from '#domain/record';
import type { Ring } from '#domain/rings';
import type { Grounds } from './grounds.ts';
import { commandByHand } from './by-hand.ts';
import { replayOf } from './replay.ts';
import type { Seen } from './seen.ts';
import { Shooter } from './shooter.ts';

export type ProofOptions = {
  readonly grounds: Grounds;
  /** Only shots that this permits. */
  readonly wants?: (shot: Shot) => boolean;
  readonly nowMs: () => number;
  readonly onProgress?: (done: number, all: number, phase: string) => void;
  /** What earlier proofs showed; counts where this one makes no attack. */
  readonly standing?: Standing | undefined;
  /** How a shot is made again, beside `--only`. */
  readonly stateOption?: string;
};

/** Attacks at one time: enough to keep two cores busy, too few to be a flood. */
const WORKERS = 8;
/** Packets that are dropped are waited for, and cost nothing meanwhile. */
const PACKET_WORKERS = 64;
/** A control counts as "just before" for this long. */
const CONTROL_FRESH_MS = 5_000;
const MAX_RETRIES = 6;
const MAX_WAIT_MS = 2_000;

/** The shots that the model gives, in the order of the catalogue. */
export function aimAt(grounds: Pick<Grounds, 'model' | 'terrain'>): readonly Shot[] {
  return aimAll(createField(grounds.model, grounds.terrain));
}

/** Attacks the system, and judges what it met. */
export async function runProof(options: ProofOptions): Promise<Proof> {
  const { grounds, nowMs, standing, wants = () => true } = options;
  const { model, modelDigest, network } = grounds;
  const startedMs = nowMs();
  const aimed = aimAt(grounds);
  const shots = aimed.filter(wants);
  const run = new Run(options, shots.length);
  try {
    const position = await grounds.ledgerPosition();
    const fired = await run.fireAll(shots);
    const records = await grounds.recordsSince(position);
    const results = fired.map(hit => conclude(hit.shot, witnessOf(hit, fired, records), records, options));
    const proof = { version: 2, system: model.system, model: modelDigest, startedMs, network } as const;
    const earlier = carryOver(standing, { proof, aimed, made: shots });
    const known = [...results.map(result => lastOf(result, startedMs)), ...earlier];
    return {
      ...proof,
      durationMs: nowMs() - startedMs,
      results,
      earlier,
      matrix: drawMatrix({ model, network, results: known, aimed }),
    };
  } finally {
    await run.close();
  }
}

/** By request id. */
type Records = ReadonlyMap<string, readonly TransactionRecord[]>;

type Hit = { readonly shot: Shot; readonly control: Observation | undefined; readonly seen: Seen };

class Run {
  readonly #shooter: Shooter;
  readonly #options: ProofOptions;
  readonly #all: number;
  readonly #controls = new Map<string, { readonly madeMs: number; readonly seen: Promise<Seen> }>();
  #done = 0;

  constructor(options: ProofOptions, all: number) {
    this.#options = options;
    this.#all = all;
    this.#shooter = new Shooter(options.grounds);
  }

  /** Floods come last, one at a time: before them, the limits must not answer for other rings. */
  async fireAll(shots: readonly Shot[]): Promise<Hit[]> {
    const kinds = Map.groupBy(shots, ({ probe }) => phaseOf(probe));
    const slow = this.#fireInParallel(kinds.get('slow') ?? [], WORKERS, 'slow clients');
    const packets = this.#fireInParallel(kinds.get('packets') ?? [], PACKET_WORKERS, 'packets');
    const quick = await this.#fireInParallel(kinds.get('quick') ?? [], WORKERS, 'attacks');
    const revoked = await this.#fireInParallel(kinds.get('revocation') ?? [], 4, 'revocations');
    const flooded = await this.#fireInParallel(kinds.get('flood') ?? [], 1, 'floods');
    // Last of all, when the ledger holds what all the others left.
    const files = await this.#fireInParallel(kinds.get('ledger') ?? [], 1, 'ledger');
    return [...quick, ...revoked, ...flooded, ...files, ...(await slow), ...(await packets)];
  }

  close(): Promise<void> {
    return this.#shooter.close();
  }

  async #fireInParallel(shots: readonly Shot[], workers: number, phase: string): Promise<Hit[]> {
    const hits: Hit[] = [];
    const queue = shots.values();
    const work = async () => {
      for (const shot of queue) {
        hits.push(await this.#fire(shot));
        this.#options.onProgress?.(++this.#done, this.#all, phase);
      }
    };
    await Promise.all(Array.from({ length: workers }, work));
    return hits;
  }

  async #fire(shot: Shot): Promise<Hit> {
    const control = shot.control === undefined ? undefined : (await this.#control(shot.control)).observation;
    const seen = await this.#patiently(shot.attack.ring, () => this.#shooter.shoot(shot.probe));
    return { shot, control, seen };
  }

  /** The legitimate act, shared by the shots on one way as long as it is fresh. */
  #control(probe: Probe): Promise<Seen> {
    const key = JSON.stringify(probe);
    const known = this.#controls.get(key);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.madeMs < CONTROL_FRESH_MS) return known.seen;
    const seen = this.#patiently(undefined, () => this.#shooter.shoot(probe));
    this.#controls.set(key, { madeMs: nowMs, seen });
    return seen;
  }

  /** A limit that answers in place of the ring under attack is waited for, as a patient attacker would. */
  async #patiently(ring: Ring | undefined, shoot: () => Promise<Seen>): Promise<Seen> {
    for (let attempt = 0; ; attempt++) {
      const seen = await shoot();
      const { observation } = seen;
      const isLimited =
        observation.kind === 'refused' && observation.reason === 'rate-limited' && ring !== 'rate';
      if (!isLimited || attempt === MAX_RETRIES) return seen;
      const waitMs = Math.min(seen.retryAfterMs ?? 1_000, MAX_WAIT_MS);
      await new Promise(resolve => void setTimeout(resolve, waitMs));
    }
  }
}

function phaseOf(probe: Probe): 'quick' | 'packets' | 'slow' | 'revocation' | 'flood' | 'ledger' {
  switch (probe.kind) {
    case 'edge':
    case 'inbound':
    case 'outbound':
      return 'quick';
    case 'plaintext':
      return probe.from === 'host' ? 'quick' : 'packets';
    case 'slow-head':
      return 'slow';
    case 'burst':
      return 'flood';
    case 'revocation':
    case 'ledger':
      return probe.kind;
  }
}

function conclude(
  shot: Shot,
  { shot: fired, control, seen }: Hit,
  records: Records,
  { grounds, stateOption }: Pick<ProofOptions, 'grounds' | 'stateOption'>,
): ShotResult {
  const { observation, sent, received, durationMs } = seen;
  const requestId = requestIdOf(observation);
  const hops = records.get(requestId);
  const byHand = commandByHand(fired.probe, grounds, stateOption);
  const record = recordOf(observation, hops);
  return {
    shot: publish(shot),
    verdict: judge(shot, { control, observation, record, letThrough: isLetThrough(fired, hops) }),
    evidence: {
      control,
      observation,
      requestId,
      record,
      sent,
      received,
      durationMs,
      replay: replayOf(fired, stateOption),
      ...(byHand !== undefined && { byHand }),
    },
  };
}

/**
 * What a shot is judged by: itself, but for the one that stands for all refusals at its service: the first of them that
 * the ledger does not have.
 */
function witnessOf(hit: Hit, fired: readonly Hit[], records: Records): Hit {
  if (hit.shot.expect.kind !== 'refusal-recorded') return hit;
  const lost = fired.find(
    ({ shot, seen: { observation } }) =>
      shot.service === hit.shot.service &&
      observation.kind === 'refused' &&
      recordOf(observation, records.get(observation.requestId)) === undefined,
  );
  return lost ?? hit;
}

function requestIdOf(observation: Observation): string {
  return observation.kind === 'passed' || observation.kind === 'refused' ? observation.requestId : '';
}

/** The record that agrees with what was seen; of several hops, the one that decided. */
function recordOf(
  observation: Observation,
  records: readonly TransactionRecord[] = [],
): TransactionRecord | undefined {
  if (observation.kind !== 'refused') return records[0];
  return records.find(({ reason, decision }) => {
    const wanted = REASONS[observation.reason].ring === 'none' ? 'failed' : 'refused';
    return reason === observation.reason && decision === wanted;
  });
}

/** Whether the point that a probe came to allowed it. */
function isLetThrough({ probe }: Shot, records: readonly TransactionRecord[] = []): boolean {
  return records.some(({ direction, decision }) => direction === probe.kind && decision === 'allowed');
}

function publish({ id, service, target, attack }: Shot): ShotResult['shot'] {
  const { aim: _aim, ...facts } = attack;
  return { id, service, target, attack: facts };
}
