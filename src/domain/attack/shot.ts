import type { Attack, Shot } from './attack.ts';

/** A shot of `attack` at one place; the place makes its id. */
export function shot(
  attack: Attack,
  aimed: Pick<Shot, 'service' | 'target' | 'probe' | 'expect'> & {
    readonly control?: Shot['control'];
    readonly place: string;
  },
): Shot {
  const { place, control, ...rest } = aimed;
  return { id: `${attack.id}@${place.replaceAll(' ', '_')}`, attack, control, ...rest };
}
