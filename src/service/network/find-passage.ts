import { readFile } from 'node:fs/promises';
import { NetworkError, type Passage } from './network.ts';
import { runTool, type RunTool } from './run-tool.ts';

/**
 * Lays an overlay over the directory `$1` whose topmost layer is empty and open to all: of the directory's own mode
 * nothing is left, all that lies in it keeps its own. `/run/netns` is there, and of no use to a service.
 */
export const OPEN_DIRECTORY = `
  mount -t tmpfs -o nosuid,nodev,noexec,size=64k,mode=755 none /run/netns && mkdir -m 755 /run/netns/none &&
  mount -t overlay -o "ro,nosuid,nodev,lowerdir=/run/netns/none:$1" none "$1"`;

/** The narrowest way past what keeps a user from its program; tries it. */
export async function findPassage(barriers: readonly string[], run: RunTool = runTool): Promise<Passage> {
  const [directory, ...more] = barriers;
  if (directory === undefined) return { kind: 'open' };
  // The kernel splits layers at `:` and options at `,`; it shows none of what is mounted below a layer.
  if (more.length > 0 || /[:,\\]/.test(directory) || (await hasMountsBelow(directory)))
    return { kind: 'reads-all-files' };
  try {
    await run('unshare', ['--mount', '--', 'sh', '-c', OPEN_DIRECTORY, 'sh', directory]);
    return { kind: 'view', directory };
  } catch (error) {
    // A file, or a kernel without overlays.
    if (error instanceof NetworkError) return { kind: 'reads-all-files' };
    throw error;
  }
}

async function hasMountsBelow(directory: string): Promise<boolean> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  // proc(5): spaces are written in octal.
  const below = `${directory === '/' ? '' : directory.replaceAll(' ', '\\040')}/`;
  return lines.some(line => line.split(' ')[4]?.startsWith(below) === true);
}
