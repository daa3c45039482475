import type { ImportProblem, Landscape, SourceText } from '#domain/manifest';
import { readCompose } from '#domain/read-compose';
import { readKubernetes } from '#domain/read-kubernetes';
import { draftModel, type Draft } from './draft.ts';
import { toLabel } from './name-units.ts';
import { writeModel } from './write-model.ts';

export type ImportOptions = {
  /** What the system shall be called; wins over what the manifests say. */
  readonly system: string | undefined;
  /** What it is called when neither the user nor the manifests say: the name of a folder. */
  readonly fallbackSystem: string;
};

export type Imported =
  | {
      readonly kind: 'imported';
      /** A model, as text. */
      readonly text: string;
      readonly draft: Draft;
      readonly problems: readonly ImportProblem[];
    }
  /** Nothing that runs was found; `problems` may say why. */
  | { readonly kind: 'nothing-found'; readonly problems: readonly ImportProblem[]; readonly draft: Draft };

/** Draws a model from Kubernetes manifests. Never throws on any input. */
export function importKubernetes(sources: readonly SourceText[], options: ImportOptions): Imported {
  return finish(readKubernetes(sources), options);
}

/**
 * Draws a model from Compose files. Never throws on any input.
 * @param options.dotenv the text of the `.env` file beside them: Compose reads it for `${VARIABLES}`
 */
export function importCompose(
  sources: readonly SourceText[],
  options: ImportOptions & { readonly dotenv?: string },
): Imported {
  return finish(readCompose(sources, options.dotenv ?? ''), options);
}

function finish(landscape: Landscape, { system, fallbackSystem }: ImportOptions): Imported {
  const draft = draftModel(landscape, toLabel(system ?? landscape.systemName ?? fallbackSystem));
  const { problems } = landscape;
  if (draft.services.length === 0) return { kind: 'nothing-found', problems, draft };
  return { kind: 'imported', text: writeModel(draft), draft, problems };
}
