/**
 * Answers "may this caller make this call, and by which line of the model?", and for a refusal names the rule that
 * came nearest and what is different. Works on the model alone; enforcement points decide with `#domain/policy`.
 */
export { explain, findRule } from './explain.ts';
export type { Explanation, Question, RuleView } from './explain.ts';
