/** The eleven rings of protection and what each data classification demands of them. Facts only. */
export { CELL_STATES, CLASSIFICATIONS, RINGS, ringsRequired } from './rings.ts';
export type { CellState, Classification, Ring } from './rings.ts';
