import type { Shot } from '#domain/attack';
import type { Model, Service } from '#domain/model';
import { RINGS, ringsRequired, type Ring } from '#domain/rings';
import type { Cell, LastResult, Matrix, Proof } from './proof.ts';
import { tally } from './proof.ts';

/** Rings of which nothing is built yet: they cannot be declared, whatever the model says. */
const NOT_BUILT: ReadonlySet<Ring> = new Set(['data', 'supply', 'detection']);

/** What is known of each ring at each service, and what could be. */
type Known = {
  readonly model: Model;
  readonly network: Proof['network'];
  /** The last result of each shot that was made within the proof window. */
  readonly results: readonly LastResult[];
  /** Every shot that the model gives. */
  readonly aimed: readonly (Pick<Shot, 'service'> & { readonly attack: Pick<Shot['attack'], 'ring'> })[];
};

/** Draws the matrix of services and rings. Only a cell of which every attack was made, and held, is proven. */
export function drawMatrix({ model, network, results, aimed }: Known): Matrix {
  const made = Map.groupBy(results, ({ ring, service }) => `${ring} ${service}`);
  const wanted = Map.groupBy(aimed, ({ attack, service }) => `${attack.ring} ${service}`);
  const rings = Object.keys(RINGS) as Ring[];
  return Object.fromEntries(
    [...model.services.values()].map(service => [
      service.name,
      Object.fromEntries(
        rings.map(ring => {
          const key = `${ring} ${service.name}`;
          const known = made.get(key) ?? [];
          const cell =
            stateOf(known, wanted.get(key)?.length ?? 0) ?? unattacked(ring, service, model, network);
          return [ring, { ...cell, ...originOf(known) }];
        }),
      ) as Readonly<Record<Ring, Cell>>,
    ]),
  );
}

type State = Pick<Cell, 'state' | 'why'>;

/** What attacks say; `undefined` when none was made. */
function stateOf(results: readonly LastResult[], aimed: number): State | undefined {
  const { held, failed, inconclusive } = tally(results);
  if (failed > 0) return { state: 'broken', why: `${failed} of ${aimed} attacks got through` };
  if (inconclusive > 0) {
    const first = results.find(({ verdict }) => verdict.kind === 'inconclusive');
    return {
      state: 'unknown',
      why: `${inconclusive} of ${aimed} attacks showed nothing: ${first?.verdict.why ?? ''}`,
    };
  }
  if (held === 0) return undefined;
  if (held < aimed)
    return { state: 'declared', why: `held against ${held} of ${aimed} attacks; the others were not made` };
  return { state: 'proven', why: `${held} attacks, all held` };
}

function unattacked(ring: Ring, service: Service, model: Model, network: Proof['network']): State {
  const lack = lackOf(ring, service, model, network);
  if (lack === undefined) return { state: 'declared', why: 'not attacked' };
  const isRequired = ringsRequired(service.data).includes(ring);
  return isRequired && lack.counts ? { state: 'missing', why: lack.why } : { state: '-', why: lack.why };
}

function originOf(results: readonly LastResult[]): Pick<Cell, 'sinceMs' | 'proofs'> {
  return {
    sinceMs: results.length === 0 ? null : Math.min(...results.map(({ atMs }) => atMs)),
    proofs: [...new Set(results.map(({ proof }) => proof))].sort(),
  };
}

type Lack = {
  readonly why: string;
  /** Whether a service that must have this ring lacks it; else the ring has nothing to do there. */
  readonly counts: boolean;
};

/** Why this ring does not stand before this service; `undefined` when it does. */
function lackOf(ring: Ring, service: Service, model: Model, network: Proof['network']): Lack | undefined {
  if (NOT_BUILT.has(ring)) return { why: 'this version of Ringwall does not have this ring', counts: true };
  const isRouted = model.edge.hosts.some(({ routes }) => routes.some(({ to }) => to === service.name));
  switch (ring) {
    case 'edge':
      return isRouted ? undefined : { why: 'no route leads to it', counts: false };
    case 'network':
      return network.kind === 'enforced' ? undefined : { why: network.why, counts: true };
    case 'rate': {
      if (!isRouted) return { why: 'no route leads to it', counts: false };
      const routes = model.edge.hosts.flatMap(host => host.routes).filter(({ to }) => to === service.name);
      const isLimited = routes.some(({ limits, lockout }) => limits.length > 0 || lockout !== undefined);
      return isLimited ? undefined : { why: 'its routes have no limits', counts: true };
    }
    case 'transport':
    case 'authentication':
    case 'vetting':
    case 'authorization':
    case 'data':
    case 'supply':
    case 'audit':
    case 'detection':
      return undefined;
  }
}
