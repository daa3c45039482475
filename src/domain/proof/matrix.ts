import type { Model, Service } from '#domain/model';
import { RINGS, ringsRequired, type Ring } from '#domain/rings';
import type { Cell, Matrix, Proof, ShotResult } from './proof.ts';
import { tally } from './proof.ts';

/** Rings of which nothing is built yet: they cannot be declared, whatever the model says. */
const NOT_BUILT: ReadonlySet<Ring> = new Set(['data', 'supply', 'detection']);

/** What is known of each ring at each service, from the results and from what the model configures. */
export function drawMatrix(model: Model, network: Proof['network'], results: readonly ShotResult[]): Matrix {
  const groups = Map.groupBy(results, ({ shot }) => `${shot.attack.ring} ${shot.service}`);
  const rings = Object.keys(RINGS) as Ring[];
  return Object.fromEntries(
    [...model.services.values()].map(service => [
      service.name,
      Object.fromEntries(
        rings.map(ring => [
          ring,
          cellOf(ring, service, model, network, groups.get(`${ring} ${service.name}`) ?? []),
        ]),
      ) as Readonly<Record<Ring, Cell>>,
    ]),
  );
}

function cellOf(
  ring: Ring,
  service: Service,
  model: Model,
  network: Proof['network'],
  results: readonly ShotResult[],
): Cell {
  const { held, failed, inconclusive } = tally(results);
  if (failed > 0) return { state: 'broken', why: `${failed} of ${results.length} attacks got through` };
  if (inconclusive > 0) {
    const first = results.find(({ verdict }) => verdict.kind === 'inconclusive');
    return {
      state: 'unknown',
      why: `${inconclusive} of ${results.length} attacks showed nothing: ${first?.verdict.why ?? ''}`,
    };
  }
  if (held > 0) return { state: 'proven', why: `${held} attacks, all held` };
  const isRequired = ringsRequired(service.data).includes(ring);
  const lack = lackOf(ring, service, model, network);
  if (lack === undefined) return { state: 'declared', why: 'not attacked' };
  return isRequired && lack.counts ? { state: 'missing', why: lack.why } : { state: '-', why: lack.why };
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
