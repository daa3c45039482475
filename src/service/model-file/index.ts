/**
 * Model files: reads `ringwall.yaml` from disk, bounded and as UTF-8, and hands it to `#domain/model`.
 *
 * Not here: what a model means. The content is UNTRUSTED until `parseModel` made a `Model` of it.
 */
export { ModelFileError, readModel } from './read-model.ts';
export type { ModelFile } from './read-model.ts';
