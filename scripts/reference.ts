import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { modelJsonSchema, referenceMarkdown } from '#domain/model';

/**
 * Writes the generated files of `docs/reference`; with `--check` says instead whether they are up to date and exits 1
 * when one is not.
 */
const folder = new URL('../docs/reference/', import.meta.url);
const files = {
  'model.md': referenceMarkdown(),
  'ringwall.schema.json': `${JSON.stringify(modelJsonSchema(), null, 2)}\n`,
};

const isCheck = process.argv.includes('--check');
await mkdir(folder, { recursive: true });
for (const [name, content] of Object.entries(files)) {
  const url = new URL(name, folder);
  if (!isCheck) {
    await writeFile(url, content);
  } else if ((await readFile(url, 'utf8').catch(() => undefined)) !== content) {
    console.error(`docs/reference/${name} is stale: run node scripts/reference.ts`);
    process.exitCode = 1;
  }
}
