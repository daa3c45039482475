import type { Model } from './model.ts';
import { Problems, type Problem } from './problem.ts';
import { readEdge } from './read-edge.ts';
import { readProtocols, readServices } from './read-services.ts';
import { readShape } from './read-shape.ts';
import { readIssuers } from './read-users.ts';
import { Reading } from './reading.ts';
import { SourceText } from './source-text.ts';
import { MODEL } from './vocabulary.ts';
import { findSuspicions } from './suspicions.ts';
import { readYaml } from './yaml-source.ts';

export type ModelSource = {
  /** As messages shall name it. */
  readonly file: string;
  readonly text: string;
  /** Absolute folder from which relative paths of the model start. */
  readonly directory: string;
};

export type ParsedModel =
  | { readonly kind: 'model'; readonly model: Model; readonly warnings: readonly Problem[] }
  | {
      readonly kind: 'invalid';
      readonly problems: readonly Problem[];
      readonly warnings: readonly Problem[];
    };

/**
 * Reads a model and checks it whole: every error at once, each with its place. Linear in the size of the text.
 *
 * UNTRUSTED: never throws on any text; size, nesting and the length of lists are bounded.
 */
export function parseModel({ file, text, directory }: ModelSource): ParsedModel {
  const problems = new Problems(new SourceText(file, text));
  const invalid = (): ParsedModel => ({
    kind: 'invalid',
    problems: problems.errors(),
    warnings: problems.warnings(),
  });

  const root = readYaml(problems);
  if (root === undefined) return invalid();
  const read = readShape(root, MODEL, problems, { start: 0, end: 1 });
  if (read === undefined) return invalid();

  const { system, trustDomain, users, edge, services } = read.fields;
  const reading = new Reading(problems, directory, readProtocols(services));
  const issuers = readIssuers(users, reading);
  const complete = readServices(services, reading);
  const hasIssuers =
    read.present.has('users') && (users === undefined || users.fields.issuers?.items.length !== 0);
  const readyEdge = readEdge(edge, { services: complete, issuers, hasIssuers }, reading);
  if (problems.hasErrors || system === undefined || trustDomain === undefined) return invalid();

  const model: Model = {
    system: system.text,
    trustDomain: trustDomain.text,
    issuers,
    edge: readyEdge,
    services: complete,
  };
  for (const suspicion of findSuspicions(model)) problems.keep(suspicion);
  return { kind: 'model', model, warnings: problems.warnings() };
}
