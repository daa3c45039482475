import { registerHooks, type LoadHookSync, type ResolveHookSync } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A change to one source file of the product as a lab loads it; the file on the disk stays as it is. */
export type Edit = {
  /** Below the root of the repository. */
  readonly file: string;
} & (
  | { readonly cut: string; readonly put: string }
  /** The file of the lab that is loaded in its place; what it imports itself is the real one. */
  | { readonly instead: string }
);

type Edits = { readonly list: readonly Edit[]; readonly unused: Set<Edit> };

const ROOT = new URL('../../', import.meta.url);
const MARK = 'lab';
const labs = new Map<string, Edits>();

/**
 * Loads a module, and all of ours that it imports, with edits: beside the real ones, in this process and for the
 * caller alone.
 *
 * @throws when an edit does not fit the sources any more, or nothing of what is loaded needs its file
 */
export async function loadEdited(url: URL, edits: readonly Edit[]): Promise<unknown> {
  const mark = `${labs.size + 1}`;
  const unused = new Set(edits);
  keep(mark, { list: edits, unused });
  const module: unknown = await import(marked(url.href, mark));
  const [left] = unused;
  if (left !== undefined)
    throw new Error(`${left.file} is not loaded by ${relative(fileURLToPath(ROOT), fileURLToPath(url))}`);
  return module;
}

/** Edits all that this process loads from now on. */
export function editProcess(edits: readonly Edit[]): void {
  keep('', { list: edits, unused: new Set() });
}

function keep(mark: string, edits: Edits): void {
  if (labs.size === 0) registerHooks({ resolve, load });
  labs.set(mark, edits);
}

const resolve: ResolveHookSync = (specifier, context, nextResolve) => {
  const resolved = nextResolve(specifier, context);
  const mark = markOf(context.parentURL);
  const edits = labs.get(mark);
  if (edits === undefined || !isOurs(resolved.url)) return resolved;
  const importer = withoutMark(context.parentURL ?? '');
  const edit = edits.list.find(
    edit => 'instead' in edit && urlOf(edit.file) === resolved.url && urlOf(edit.instead) !== importer,
  );
  if (edit === undefined || !('instead' in edit)) return { ...resolved, url: marked(resolved.url, mark) };
  edits.unused.delete(edit);
  return { ...resolved, url: marked(urlOf(edit.instead), mark) };
};

const load: LoadHookSync = (url, context, nextLoad) => {
  const loaded = nextLoad(url, context);
  const edits = labs.get(markOf(url));
  if (edits === undefined || !isOurs(withoutMark(url))) return loaded;
  let source = textOf(loaded.source);
  for (const edit of edits.list) {
    if (!('cut' in edit) || urlOf(edit.file) !== withoutMark(url)) continue;
    const parts = source.split(edit.cut);
    if (parts.length !== 2) throw new Error(`${edit.file} has this ${parts.length - 1} times: ${edit.cut}`);
    source = parts.join(edit.put);
    edits.unused.delete(edit);
  }
  return { ...loaded, source };
};

function isOurs(url: string): boolean {
  return url.startsWith(ROOT.href) && !url.includes('/node_modules/') && url.endsWith('.ts');
}

function urlOf(file: string): string {
  return new URL(file, ROOT).href;
}

function marked(url: string, mark: string): string {
  return mark === '' ? url : `${url}?${MARK}=${mark}`;
}

function markOf(url: string | undefined): string {
  return url === undefined || !URL.canParse(url) ? '' : (new URL(url).searchParams.get(MARK) ?? '');
}

function withoutMark(url: string): string {
  return url.replace(/\?.*/s, '');
}

function textOf(source: string | ArrayBuffer | NodeJS.TypedArray | undefined | null): string {
  if (typeof source === 'string') return source;
  return source === undefined || source === null ? '' : new TextDecoder().decode(source);
}
