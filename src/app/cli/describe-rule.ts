import type { RuleView } from '#domain/explain';

/** `ringwall.yaml:17: frontend → catalog: GET /products/*` */
export function describeRule({ at, caller, callee, methods, path }: RuleView): string {
  const call = path === undefined ? methods.join(', ') : `${methods.join(', ')} ${path}`;
  return `${at.file}:${at.line}: ${caller} → ${callee}: ${call}`;
}
