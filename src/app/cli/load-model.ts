import { resolve } from 'node:path';
import { formatProblems, type Model } from '#domain/model';
import { ModelFileError, readModel } from '#service/model-file';
import { EXIT, type ExitCode, type Io } from './io.ts';

export type LoadedModel =
  | { readonly kind: 'model'; readonly model: Model; readonly text: string }
  /** The problems have been printed; this is the exit code that they mean. */
  | { readonly kind: 'failed'; readonly code: ExitCode };

/** Reads a model for a command that needs a good one. Warnings are left to `ringwall check`. */
export async function loadModel(io: Io, file: string): Promise<LoadedModel> {
  try {
    const { text, parsed } = await readModel(resolve(io.cwd, file), file);
    if (parsed.kind === 'model') return { kind: 'model', model: parsed.model, text };
    io.err(`${formatProblems(parsed.problems, text, { colour: io.colour })}\n`);
    return { kind: 'failed', code: EXIT.usage };
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    io.err(`ringwall: ${error.message}\n`);
    return { kind: 'failed', code: EXIT.noInput };
  }
}
