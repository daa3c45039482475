/**
 * The model language: `ringwall.yaml` becomes a checked `Model`, or a list of everything that is wrong with it.
 *
 * `vocabulary.ts` describes each key once; the reader, the JSON Schema and the reference are made from it. Not here:
 * reading files (`#service/model-file`), and what follows from a model (`#domain/compile`, `#domain/explain`).
 * The text is UNTRUSTED; a `Model` is trusted: every name resolves, every pattern parses.
 *
 * Standards: YAML 1.2.2, JSON Schema 2020-12, SPIFFE-ID §2.
 */
export { parseModel } from './parse-model.ts';
export type { ModelSource, ParsedModel } from './parse-model.ts';
export { byPlace, PROBLEM_CODES } from './problem.ts';
export type { Problem, ProblemCode } from './problem.ts';
export { formatProblem, formatProblems, problemsToJson } from './format-problem.ts';
export { modelJsonSchema } from './json-schema.ts';
export { referenceMarkdown } from './reference.ts';
export { environmentName, originEnvironmentName } from './environment-name.ts';
export { METHODS, OUTSIDE } from './model.ts';
export type {
  Call,
  Callee,
  ClientKind,
  Edge,
  EdgeHost,
  Egress,
  Issuer,
  Limit,
  Lockout,
  Method,
  Model,
  Position,
  Protocol,
  Route,
  Run,
  Service,
  TokenAlgorithm,
} from './model.ts';
