import type { Attack, Shot } from './attack.ts';
import { CATALOGUE } from './catalogue.ts';
import type { Field } from './field.ts';

/** All shots of the catalogue against one system. INVARIANT: ids are unique. */
export function aimAll(field: Field, catalogue: readonly Attack[] = CATALOGUE): readonly Shot[] {
  const shots = catalogue.flatMap(attack => attack.aim(field));
  const seen = new Set<string>();
  return shots.filter(({ id }) => !seen.has(id) && seen.add(id));
}
