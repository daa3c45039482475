import { spawnSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Compiles the sources into `dist/`, for the package: Node runs no TypeScript below `node_modules`. The folder has a
 * manifest of its own, so that the doors (`#domain/path`) are those of the compiled rooms. `--remove` removes it only.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
const compiler = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
const manifest = { type: 'module', imports: { '#*': './*/index.js' } };

await rm(join(root, 'dist'), { recursive: true, force: true });
if (!process.argv.includes('--remove')) {
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status === 0)
    await writeFile(join(root, 'dist/package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  else process.exitCode = 1;
}
