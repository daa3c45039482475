import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { hasCode } from '#base/error';

/**
 * Writes a file that a person may have worked on: with `keep`, one that is there and says something else stays.
 * @throws the file system's error when it cannot be written
 */
export async function writeNewFile(
  cwd: string,
  file: string,
  text: string,
  existing: 'keep' | 'replace',
): Promise<'written' | 'kept'> {
  const path = resolve(cwd, file);
  const there = existing === 'replace' ? '' : await currentText(path);
  if (there !== '' && there !== text) return 'kept';
  await writeFile(path, text);
  return 'written';
}

async function currentText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
}
