import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { closed, compileSchema, Type } from '#base/schema';
import { hasCode } from '#base/error';
import { renderRemoval } from '#domain/firewall';
import { namesOf, networkId } from './names.ts';
import { NetworkError } from './network.ts';
import type { RunTool } from './run-tool.ts';

/** What is about to exist, written before it does: names in the kernel follow from `id`, the range does not. */
const record = compileSchema(
  'network.json',
  closed({
    id: Type.String({ pattern: '^[0-9a-f]{6}$' }),
    range: Type.String({ pattern: '^[0-9]{1,3}\\.[0-9]{1,3}\\.0\\.0/16$' }),
    /** Namespace by service. */
    namespaces: Type.Record(Type.String(), Type.String()),
  }),
);
export type NetworkRecord = ReturnType<typeof record.parse>;

export function recordPath(stateDirectory: string): string {
  return join(stateDirectory, 'network.json');
}

/**
 * Removes what a run with this state directory has left in the kernel: processes in its namespaces, links, namespaces,
 * rules and the claim on its addresses. Does nothing when there is nothing.
 *
 * @throws {NetworkError} `tool-failed` when something stays
 */
export async function removeLeftovers(stateDirectory: string, run: RunTool): Promise<void> {
  const names = namesOf(networkId(stateDirectory));
  const { links, namespaces } = await findOwn(stateDirectory, run);
  await endProcesses(namespaces, run);
  const range = await readRange(stateDirectory);
  const steps = [
    ...links.map(link => `link delete ${link}`),
    ...namespaces.map(namespace => `netns delete ${namespace}`),
    ...(range === undefined ? [] : [`route delete unreachable ${range}`]),
  ];
  if (steps.length > 0) {
    // Some may be gone by themselves, as a link is with its namespace; what counts is what is there afterwards.
    await run('ip', ['-force', '-batch', '-'], `${steps.join('\n')}\n`).catch(() => {});
    const left = await findOwn(stateDirectory, run);
    const first = [...left.namespaces, ...left.links][0];
    if (first !== undefined)
      throw new NetworkError('tool-failed', `${first} of an earlier run cannot be removed`);
  }
  await run('nft', ['-f', '-'], renderRemoval(names.table));
  await rm(recordPath(stateDirectory), { force: true });
}

/** Kills what runs in these namespaces and waits until it is gone. */
export async function endProcesses(namespaces: readonly string[], run: RunTool): Promise<void> {
  const GIVE_UP_AFTER = 50;
  for (let round = 0; round < GIVE_UP_AFTER; round += 1) {
    const lists = await Promise.all(
      namespaces.map(name => run('ip', ['netns', 'pids', name]).catch(() => '')),
    );
    const pids = lists.flatMap(list => list.split('\n').filter(line => /^\d+$/.test(line)));
    if (pids.length === 0) return;
    for (const pid of pids) kill(Number(pid));
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

async function findOwn(
  stateDirectory: string,
  run: RunTool,
): Promise<{ links: string[]; namespaces: string[] }> {
  const names = namesOf(networkId(stateDirectory));
  const [links, namespaces] = await Promise.all([
    run('ip', ['-o', 'link', 'show']),
    run('ip', ['netns', 'list']),
  ]);
  return {
    links: [...links.matchAll(/^\d+: ([^\s:@]+)/gm)]
      .map(([, name = '']) => name)
      .filter(name => name.startsWith(names.linkPrefix)),
    namespaces: namespaces
      .split('\n')
      .map(line => line.split(' ')[0] ?? '')
      .filter(name => name.startsWith(names.namespacePrefix)),
  };
}

async function readRange(stateDirectory: string): Promise<string | undefined> {
  try {
    const { id, range } = record.parse(await readFile(recordPath(stateDirectory), 'utf8'));
    // A state directory that was copied or moved names the network of another.
    return id === networkId(stateDirectory) ? range : undefined;
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'not-json') || hasCode(error, 'wrong-shape'))
      return undefined;
    throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}
