import { Command } from 'commander';
import { hasCode, quote } from '#base/error';
import {
  importCompose,
  importKubernetes,
  type Imported,
  type ImportOptions,
  type SourceText,
} from '#domain/import';
import { parseModel } from '#domain/model';
import { countModel, formatCounts, plural } from './count-model.ts';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { folderName, readDotenv, readManifests, readStdin } from './read-manifests.ts';
import { writeNewFile } from './write-new-file.ts';

type Options = {
  readonly output?: string;
  readonly system?: string;
  readonly json?: true;
  readonly force?: true;
};
type Importer = (
  sources: readonly SourceText[],
  options: ImportOptions & { readonly dotenv: string },
) => Imported;

/**
 * `ringwall import kubernetes PATH...` and `ringwall import compose FILE`: a model from a system's manifests.
 * @param stdin what `-` reads
 */
export function importCommand(io: Io, finish: Finish, stdin: () => Promise<string> = readStdin): Command {
  const run = async (importer: Importer, paths: readonly string[], options: Options): Promise<void> => {
    finish(await importFiles(io, { importer, paths, options, stdin }));
  };
  const command = new Command('import').description("write a model from a system's manifests");
  command
    .command('kubernetes')
    .description('from Kubernetes manifests: files, folders, or `-` for standard input')
    .argument('<path...>', 'manifests, or folders with *.yaml, *.yml and *.json')
    .option('-o, --output <file>', 'write the model to this file instead of standard output')
    .option('--system <name>', 'what the system is called')
    .option('--force', 'replace the output file even if it differs')
    .option('--json', 'print the model and everything found as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall import kubernetes deploy/ -o ringwall.yaml
  helm template shop ./chart | ringwall import kubernetes - --system shop
  kubectl get deploy,sts,ds,cronjob,svc,cm,ingress -A -o yaml | ringwall import kubernetes -

What the manifests do not tell is listed at the top of the model and on standard error.`,
    )
    .action((paths: string[], options: Options) => run(importKubernetes, paths, options));
  command
    .command('compose')
    .description('from a Compose file, or `-` for standard input')
    .argument('<file>', 'compose.yaml or docker-compose.yml')
    .option('-o, --output <file>', 'write the model to this file instead of standard output')
    .option('--system <name>', 'what the system is called')
    .option('--force', 'replace the output file even if it differs')
    .option('--json', 'print the model and everything found as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall import compose compose.yaml -o ringwall.yaml
  docker compose config | ringwall import compose -`,
    )
    .action((file: string, options: Options) => run(importCompose, [file], options));
  return command;
}

async function importFiles(
  io: Io,
  {
    importer,
    paths,
    options,
    stdin,
  }: { importer: Importer; paths: readonly string[]; options: Options; stdin: () => Promise<string> },
): Promise<ExitCode> {
  const read = await readManifests(paths, { cwd: io.cwd, stdin });
  if (read.kind === 'failed') {
    io.err(`ringwall import: ${read.message}\n`);
    return EXIT.noInput;
  }
  const imported = importer(read.sources, {
    system: options.system,
    fallbackSystem: folderName(paths[0] ?? '.', io.cwd),
    dotenv: await readDotenv(paths[0] ?? '.', io.cwd),
  });
  for (const { message, at } of imported.problems) io.err(`${at.file}:${at.line}:${at.column}: ${message}\n`);
  if (imported.kind === 'nothing-found') {
    io.err(`ringwall import: nothing that runs was found in ${describe(paths, read.sources.length)}\n`);
    for (const { message } of imported.draft.notes) io.err(`  ${message}\n`);
    return EXIT.noInput;
  }
  if (options.output !== undefined) {
    const written = await writeModel(io, options.output, imported.text, options.force === true);
    if (written !== EXIT.ok) return written;
  }
  if (options.json === true) io.out(`${JSON.stringify(jsonOf(imported), null, 2)}\n`);
  else {
    if (options.output === undefined) io.out(imported.text);
    summarise(io, imported, options.output);
  }
  return EXIT.ok;
}

async function writeModel(io: Io, file: string, text: string, force: boolean): Promise<ExitCode> {
  try {
    const written = await writeNewFile(io.cwd, file, text, force ? 'replace' : 'keep');
    if (written === 'written') return EXIT.ok;
    io.err(
      `ringwall import: ${quote(file)} is there already and differs; choose another file, or replace it with --force\n`,
    );
  } catch (error) {
    const why = hasCode(error, 'ENOENT')
      ? 'its folder does not exist'
      : error instanceof Error
        ? error.message
        : 'unknown';
    io.err(`ringwall import: cannot write ${quote(file)}: ${why}\n`);
  }
  return EXIT.cannotCreate;
}

function summarise(
  io: Io,
  { draft, text }: Extract<Imported, { kind: 'imported' }>,
  output: string | undefined,
): void {
  const parsed = parseModel({ file: output ?? '', directory: io.cwd, text });
  // INVARIANT: what is written holds.
  if (parsed.kind === 'invalid') throw new TypeError('the imported model does not hold');
  io.err(
    `${output === undefined ? 'imported' : `wrote ${output}`}: ${formatCounts(countModel(parsed.model))}\n`,
  );
  if (draft.notes.length > 0) io.err('not told by the manifests, or not in the model:\n');
  for (const { message, at } of draft.notes) {
    io.err(`  ${message}${at === undefined ? '' : ` (${at.file}:${at.line})`}\n`);
  }
  if (output !== undefined)
    io.err(`next: ringwall check ${output}\n      ringwall up ${output} --stand-ins\n`);
}

function jsonOf({ text, draft, problems }: Extract<Imported, { kind: 'imported' }>): object {
  const services = draft.services.map(({ key, namespace, from, at, data, listen, image, calls, egress }) => ({
    name: key,
    namespace: namespace ?? 'default',
    from,
    at,
    data: data.data,
    protocol: listen.protocol,
    port: listen.port,
    image: image?.text,
    calls,
    egress,
  }));
  return { system: draft.system, model: text, hosts: draft.hosts, services, untold: draft.notes, problems };
}

function describe(paths: readonly string[], files: number): string {
  return `${paths.map(path => (path === '-' ? 'standard input' : quote(path))).join(', ')} (${plural(files, 'file')})`;
}
