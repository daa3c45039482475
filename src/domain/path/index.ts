/**
 * Request paths and the patterns that match them: the one normaliser and the one matcher of gateway, agents, compiler,
 * explanations and proofs, so that no two of them can read a path differently.
 *
 * `normalisePath` is the trust boundary: everything else here takes normalised paths only. It refuses what two parsers
 * could read in two ways and repairs nothing. Not here: the query, the host, and letter case (paths are case-sensitive).
 *
 * Standards: RFC 3986 §3.3, §6.2.2; RFC 3629 (UTF-8).
 */
export { normalisePath } from './normalise-path.ts';
export type { NormalisedPath, PathFault } from './normalise-path.ts';
export { matchesPattern, parsePattern } from './path-pattern.ts';
export type { ParsedPattern, PathPattern, PatternFault } from './path-pattern.ts';
export { compareSpecificity, coversPattern, overlapsPattern } from './pattern-relation.ts';
export { PathTable } from './path-table.ts';
export { examplePath, pathOutside } from './sample-path.ts';
