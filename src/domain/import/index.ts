/**
 * Draws a model from the manifests of a system: Kubernetes objects or a Compose file in, the text of a `ringwall.yaml` and
 * a list of what the manifests do not tell out. Every line of the model says from which line of which manifest it comes;
 * what is not sure is a note or says that it is a guess.
 *
 * Not here: the formats (`#domain/read-kubernetes`, `#domain/read-compose`), reading files, and judging the model
 * (`#domain/model`). UNTRUSTED: every manifest; the values in which hosts are found are never shown.
 */
export { importCompose, importKubernetes } from './import-manifests.ts';
export type { Imported, ImportOptions } from './import-manifests.ts';
export type { Draft, DraftCall, DraftRoute, DraftService } from './draft.ts';
export type { ImportProblem, Note, NoteKind, SourceText } from '#domain/manifest';
