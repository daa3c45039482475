import type { Attack } from '#domain/attack';
import { RINGS, type Ring } from '#domain/rings';

/** The catalogue for people: ring by ring, each attack with where it starts and what it refers to. */
export function formatCatalogue(catalogue: readonly Attack[], shotsOf?: ReadonlyMap<string, number>): string {
  const width = Math.max(...catalogue.map(({ id }) => id.length));
  const lines = (Object.keys(RINGS) as Ring[]).flatMap(ring => {
    const attacks = catalogue.filter(attack => attack.ring === ring);
    if (attacks.length === 0) return [];
    return [
      `${ring}: ${RINGS[ring]}`,
      ...attacks.map(({ id, vantage, title, references }) => {
        const count = shotsOf === undefined ? '' : `${String(shotsOf.get(id) ?? 0).padStart(5)}  `;
        return `  ${id.padEnd(width)}  ${count}${vantage.padEnd(7)}  ${title} (${references.join(', ')})`;
      }),
      '',
    ];
  });
  return [...lines, `${catalogue.length} kinds of attack`, ''].join('\n');
}
