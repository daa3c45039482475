import { aimAll, createField, type Probe, type Shot } from '#domain/attack';
import { REASONS } from '#domain/decision';
import { drawMatrix, judge, type Observation, type Proof, type ShotResult } from '#domain/proof';
import type { TransactionRecord } from '#domain/record';
import type { Ring } from '#domain/rings';
import type { Grounds } from './grounds.ts';
import { replayOf } from './replay.ts';
import type { Seen } from './seen.ts';
import { Shooter } from './shooter.ts';

export type ProofOptions = {
  readonly grounds: Grounds;
  /** Only shots that this permits. */
  readonly wants?: (shot: Shot) => boolean;
  readonly nowMs: () => number;
  readonly onProgress?: (done: number, all: number, phase: string) => void;
  /** How a shot is made again, beside `--only`. */
  readonly stateOption?: string;
};

/** Attacks at one time: enough to keep two cores busy, too few to be a flood. */
const WORKERS = 8;
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
  const { grounds, nowMs, wants = () => true } = options;
  const startedMs = nowMs();
  const shots = aimAt(grounds).filter(wants);
  const run = new Run(options, shots.length);
  try {
    const position = await grounds.ledgerPosition();
    const fired = await run.fireAll(shots);
    const records = await grounds.recordsSince(position);
    const results = [
      ...fired.map(hit => conclude(hit, records, options.stateOption)),
      ...concludeAudit(grounds, fired, records, wants, options.stateOption),
    ];
    return {
      version: 1,
      system: grounds.model.system,
      model: grounds.modelDigest,
      startedMs,
      durationMs: nowMs() - startedMs,
      network: grounds.network,
      results,
      matrix: drawMatrix(grounds.model, grounds.network, results),
    };
  } finally {
    run.close();
  }
}

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
    const quick = await this.#fireInParallel(kinds.get('quick') ?? [], WORKERS, 'attacks');
    const revoked = await this.#fireInParallel(kinds.get('revocation') ?? [], 4, 'revocations');
    const flooded = await this.#fireInParallel(kinds.get('flood') ?? [], 1, 'floods');
    // Last of all, when the ledger holds what all the others left.
    const files = await this.#fireInParallel(kinds.get('ledger') ?? [], 1, 'ledger');
    return [...quick, ...revoked, ...flooded, ...files, ...(await slow)];
  }

  close(): void {
    this.#shooter.close();
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

function phaseOf({ kind }: Probe): 'quick' | 'slow' | 'revocation' | 'flood' | 'ledger' {
  switch (kind) {
    case 'edge':
    case 'inbound':
    case 'outbound':
    case 'plaintext':
      return 'quick';
    case 'slow-head':
      return 'slow';
    case 'burst':
      return 'flood';
    case 'revocation':
    case 'ledger':
      return kind;
  }
}

function conclude(
  { shot, control, seen }: Hit,
  records: ReadonlyMap<string, readonly TransactionRecord[]>,
  stateOption: string | undefined,
): ShotResult {
  const { observation, sent, received, durationMs } = seen;
  const requestId = requestIdOf(observation);
  const record = recordOf(observation, records.get(requestId));
  return {
    shot: publish(shot),
    verdict: judge(shot, { control, observation, record }),
    evidence: {
      control,
      observation,
      requestId,
      record,
      sent,
      received,
      durationMs,
      replay: replayOf(shot, stateOption),
    },
  };
}

/** Audit: every attack that Ringwall refused must stand in the ledger, under the same id and for the same reason. */
function concludeAudit(
  grounds: Grounds,
  fired: readonly Hit[],
  records: ReadonlyMap<string, readonly TransactionRecord[]>,
  wants: (shot: Shot) => boolean,
  stateOption: string | undefined,
): ShotResult[] {
  return [...grounds.model.services.keys()].flatMap(service => {
    const refused = fired.filter(
      ({ shot, seen }) => shot.service === service && seen.observation.kind === 'refused',
    );
    const [first] = refused;
    if (first === undefined) return [];
    const shot = recordedShot(service, first.shot);
    if (!wants(shot)) return [];
    const missing = refused.find(
      ({ seen }) => recordOf(seen.observation, records.get(requestIdOf(seen.observation))) === undefined,
    );
    const { seen } = missing ?? first;
    const observation: Observation =
      missing === undefined
        ? {
            kind: 'checked',
            detected: true,
            detail: `all ${refused.length} refused attacks stand in the ledger`,
          }
        : { kind: 'checked', detected: false, detail: `the ledger has no record of ${missing.shot.id}` };
    const requestId = requestIdOf(seen.observation);
    const record = recordOf(seen.observation, records.get(requestId));
    const evidence = {
      control: undefined,
      observation,
      requestId,
      record,
      sent: seen.sent,
      received: seen.received,
      durationMs: 0,
    };
    return {
      shot: publish(shot),
      verdict: judge(shot, { control: undefined, observation, record }),
      evidence: { ...evidence, replay: replayOf((missing ?? first).shot, stateOption) },
    };
  });
}

/** Not in the catalogue, for it has no probe of its own: it looks at what all the others left. */
function recordedShot(service: string, like: Shot): Shot {
  const attack: Shot['attack'] = {
    id: 'audit/attacks-recorded',
    ring: 'audit',
    vantage: 'outside',
    title: 'is refused, and hopes that nobody has written it down',
    references: ['CWE-778', 'ASVS 16.3.2', 'T1562.008'],
    aim: () => [],
  };
  return {
    id: `${attack.id}@${service}`,
    attack,
    service,
    target: `records of refused attacks on ${service}`,
    probe: like.probe,
    control: undefined,
    expect: { kind: 'detected' },
  };
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

function publish({ id, service, target, attack }: Shot): ShotResult['shot'] {
  const { aim: _aim, ...facts } = attack;
  return { id, service, target, attack: facts };
}
