import type { Shot } from '#domain/attack';
import type { Verdict } from './judge.ts';
import type { LastResult, Proof } from './proof.ts';

/** For how long an attack that was made says how things are. */
export const PROOF_WINDOW_MS = 24 * 3_600_000;

/** What a proof and those before it showed of one state of the system. */
export type Standing = Pick<Proof, 'model' | 'network'> & { readonly results: readonly LastResult[] };

/** Where the evidence of a proof is kept: a name that sorts by time. */
export function proofName(startedMs: number): string {
  return `${new Date(startedMs).toISOString().replaceAll(':', '').replace('.', '-')}.json`;
}

/** One attack of a proof, without its evidence. */
type Outcome = {
  readonly shot: Pick<Shot, 'id' | 'service'> & { readonly attack: Pick<Shot['attack'], 'ring'> };
  readonly verdict: Verdict;
};

export function standingOf({
  model,
  network,
  results,
  earlier,
  startedMs,
}: Pick<Proof, 'model' | 'network' | 'earlier' | 'startedMs'> & {
  readonly results: readonly Outcome[];
}): Standing {
  return { model, network, results: [...results.map(result => lastOf(result, startedMs)), ...earlier] };
}

export function lastOf({ shot, verdict }: Outcome, startedMs: number): LastResult {
  return {
    id: shot.id,
    service: shot.service,
    ring: shot.attack.ring,
    verdict,
    atMs: startedMs,
    proof: proofName(startedMs),
  };
}

/**
 * What still counts of earlier proofs beside a new one: attacks that it did not make again, made within the window on
 * this very model. With another model or network, what is attacked is not what was attacked then.
 */
export function carryOver(
  standing: Standing | undefined,
  now: {
    readonly proof: Pick<Proof, 'model' | 'network' | 'startedMs'>;
    /** Every shot that the model gives. */
    readonly aimed: readonly Pick<Shot, 'id'>[];
    readonly made: readonly Pick<Shot, 'id'>[];
  },
): LastResult[] {
  const { model, network, startedMs } = now.proof;
  if (standing?.model !== model || standing.network.kind !== network.kind) return [];
  const open = new Set(now.aimed.map(({ id }) => id));
  for (const { id } of now.made) open.delete(id);
  return standing.results.filter(
    ({ id, atMs }) => open.has(id) && atMs <= startedMs && startedMs - atMs < PROOF_WINDOW_MS,
  );
}
