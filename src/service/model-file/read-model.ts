import { open, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { CodedError, hasCode, quote } from '#base/error';
import { parseModel, type ParsedModel } from '#domain/model';

export class ModelFileError extends CodedError<'missing' | 'unreadable' | 'not-text' | 'too-large'> {}

export type ModelFile = {
  /** Without byte order mark. */
  readonly text: string;
  readonly parsed: ParsedModel;
};

const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Reads and checks a model file.
 *
 * @param path of the file; relative paths inside of the model start from its folder
 * @param shownAs how messages and positions name the file
 * @throws {ModelFileError} when there is no text to check; what is wrong with the text is part of the result
 */
export async function readModel(path: string, shownAs: string = path): Promise<ModelFile> {
  const bytes = await readBounded(path, shownAs);
  const text = decode(bytes, shownAs);
  return { text, parsed: parseModel({ file: shownAs, text, directory: dirname(resolve(path)) }) };
}

async function readBounded(path: string, shownAs: string): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const chunks: Buffer[] = [];
    let size = 0;
    // Not by `stat`: a pipe has no size.
    for await (const chunk of handle.createReadStream({ autoClose: false })) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size > MAX_BYTES)
        throw new ModelFileError(
          'too-large',
          `${quote(shownAs)} has more than ${MAX_BYTES / 1024 / 1024} MiB`,
        );
    }
    return Buffer.concat(chunks);
  } catch (error) {
    throw asModelFileError(error, shownAs);
  } finally {
    await handle?.close();
  }
}

function asModelFileError(error: unknown, shownAs: string): unknown {
  if (error instanceof ModelFileError) return error;
  if (hasCode(error, 'ENOENT')) {
    return new ModelFileError(
      'missing',
      `no file ${quote(shownAs)}; write a first model with \`ringwall init\``,
      { cause: error },
    );
  }
  if (hasCode(error, 'EISDIR'))
    return new ModelFileError('unreadable', `${quote(shownAs)} is a folder, not a file`, { cause: error });
  if (hasCode(error, 'EACCES'))
    return new ModelFileError('unreadable', `no permission to read ${quote(shownAs)}`, { cause: error });
  if (error instanceof Error && 'syscall' in error) {
    return new ModelFileError('unreadable', `cannot read ${quote(shownAs)}: ${error.message}`, {
      cause: error,
    });
  }
  return error;
}

function decode(bytes: Buffer, shownAs: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ModelFileError('not-text', `${quote(shownAs)} is not UTF-8 text`, { cause: error });
  }
}
