/** What a change of the model opens and closes, compared by meaning: a narrower pattern inside a wider one opens nothing. */
export { planChange } from './plan-change.ts';
export type { Change, ChangeKind } from './plan-change.ts';
