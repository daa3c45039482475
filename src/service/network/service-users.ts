import { chmod, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dataDirectoryOf, networkId } from './names.ts';
import { NetworkError } from './network.ts';
import type { RunTool } from './run-tool.ts';

/** Above what distributions give to people, daemons, containers (`/etc/subuid`) and systemd. */
const FIRST_UID = 0x70000000;
const UIDS_PER_SYSTEM = 16_384;
const SYSTEMS = 16_000;

/**
 * Gives each service a data directory and a user of its own that this directory belongs to. The directories are the
 * record: a service has the same user in the next run, and no user is given to a second service.
 *
 * @returns the user id by service
 */
export async function assignUsers(
  stateDirectory: string,
  services: readonly string[],
  run: RunTool,
): Promise<ReadonlyMap<string, number>> {
  const root = join(stateDirectory, 'data');
  await mkdir(root, { recursive: true, mode: 0o700 });
  const owners = await ownersIn(root);
  const taken = new Set([...(await readAccounts()), ...owners.values()]);
  const first = firstUid(stateDirectory);
  const users = new Map<string, number>();
  let next = first + 1;
  for (const service of services) {
    const path = dataDirectoryOf(stateDirectory, service);
    const owner = owners.get(service);
    if (owner !== undefined && owner > first && owner < first + UIDS_PER_SYSTEM && isOnly(owners, owner)) {
      users.set(service, owner);
      continue;
    }
    while (taken.has(next)) next += 1;
    if (next >= first + UIDS_PER_SYSTEM)
      throw new NetworkError('too-many-services', `no user is left for \`${service}\``);
    taken.add(next);
    owners.set(service, next);
    users.set(service, next);
    await mkdir(path, { recursive: true, mode: 0o700 });
    await chmod(path, 0o700);
    // What a run without namespaces has left goes with it. CRASH: the directory itself comes last.
    await run('chown', ['--recursive', '--no-dereference', `${next}:${next}`, path]);
  }
  return users;
}

/** The user of a probe: of this system, and of no service. */
export function firstUid(stateDirectory: string): number {
  return FIRST_UID + (Number.parseInt(networkId(stateDirectory), 16) % SYSTEMS) * UIDS_PER_SYSTEM;
}

async function ownersIn(root: string): Promise<Map<string, number>> {
  const names = await readdir(root);
  return new Map(
    await Promise.all(names.map(async name => [name, (await stat(join(root, name))).uid] as const)),
  );
}

function isOnly(owners: ReadonlyMap<string, number>, uid: number): boolean {
  return [...owners.values()].filter(owner => owner === uid).length === 1;
}

async function readAccounts(): Promise<number[]> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
  return lines.map(line => Number(line.split(':')[2])).filter(uid => Number.isInteger(uid));
}
