import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { hasCode, quote } from '#base/error';
import type { SourceText } from '#domain/import';

export type ReadManifests =
  | { readonly kind: 'read'; readonly sources: readonly SourceText[] }
  | { readonly kind: 'failed'; readonly message: string };

/** Larger files are generated data, not manifests. */
const MAX_FILE_BYTES = 32 * 1024 * 1024;
const MAX_FILES = 20_000;
const MANIFEST = /\.(?:ya?ml|json)$/i;

/** Folders that are named for what they hold, not for the system. */
const GENERIC_FOLDERS = new Set(
  `base chart charts config deploy deployment deployments docker dev infra k8s k8s-manifests kube kubernetes
  kubernetes-manifests manifests ops overlays prod production release releases resources staging templates yaml`.split(
    /\s+/,
  ),
);

/** Reads the named files, and in the named folders every YAML and JSON file; `-` is standard input. */
export async function readManifests(
  paths: readonly string[],
  { cwd, stdin }: { readonly cwd: string; readonly stdin: () => Promise<string> },
): Promise<ReadManifests> {
  const sources: SourceText[] = [];
  for (const path of paths) {
    if (path === '-') {
      sources.push({ path: '<stdin>', name: 'stdin', text: await stdin() });
      continue;
    }
    try {
      const found = await filesAt(resolve(cwd, path));
      for (const { file, name } of found) {
        if (sources.length === MAX_FILES) return { kind: 'failed', message: `more than ${MAX_FILES} files` };
        const shown = join(path, relative(resolve(cwd, path), file));
        if ((await stat(file)).size > MAX_FILE_BYTES) {
          return { kind: 'failed', message: `${quote(shown)} is larger than 32 MiB: no manifest` };
        }
        sources.push({ path: shown, name, text: await readFile(file, 'utf8') });
      }
    } catch (error) {
      const why = hasCode(error, 'ENOENT')
        ? 'no such file or folder'
        : error instanceof Error
          ? error.message
          : 'unknown';
      return { kind: 'failed', message: `cannot read ${quote(path)}: ${why}` };
    }
  }
  return { kind: 'read', sources: withDistinctNames(sources) };
}

/** What a system is called after the folder that holds its manifests. */
export function folderName(path: string, cwd: string): string {
  let folder = path === '-' ? resolve(cwd) : resolve(cwd, path);
  if (MANIFEST.test(folder)) folder = dirname(folder);
  while (GENERIC_FOLDERS.has(basename(folder).toLowerCase()) && dirname(folder) !== folder)
    folder = dirname(folder);
  return basename(folder) === '' ? 'system' : basename(folder);
}

/** The `.env` file beside a Compose file, which Compose reads too; empty when there is none. */
export async function readDotenv(path: string, cwd: string): Promise<string> {
  if (path === '-') return '';
  const file = join(dirname(resolve(cwd, path)), '.env');
  try {
    return (await stat(file)).size > MAX_FILE_BYTES ? '' : await readFile(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'EISDIR') || hasCode(error, 'EACCES')) return '';
    throw error;
  }
}

export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString('utf8');
}

async function filesAt(path: string): Promise<{ file: string; name: string }[]> {
  if (!(await stat(path)).isDirectory()) return [{ file: path, name: basename(path) }];
  const found: { file: string; name: string }[] = [];
  const entries = await readdir(path, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = join(path, entry.name);
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
    if (entry.isDirectory()) {
      for (const inner of await filesAt(file))
        found.push({ file: inner.file, name: join(entry.name, inner.name) });
    } else if (
      MANIFEST.test(entry.name) &&
      (entry.isFile() || (entry.isSymbolicLink() && (await isFile(file))))
    ) {
      found.push({ file, name: entry.name });
    }
  }
  return found;
}

/** A link to a folder is not followed: it could lead back here. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** The short names go into comments; where two are equal, the longer path tells them apart. */
function withDistinctNames(sources: readonly SourceText[]): readonly SourceText[] {
  const counts = new Map<string, number>();
  for (const { name } of sources) counts.set(name, (counts.get(name) ?? 0) + 1);
  return sources.map(source =>
    (counts.get(source.name) ?? 0) > 1 ? { ...source, name: source.path } : source,
  );
}
