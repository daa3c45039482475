import { OPEN_DIRECTORY } from './find-passage.ts';

/** What a process of a service is given. Without capabilities it can neither change its rules nor leave its namespaces. */
export type Confinement = {
  /** Of the network. */
  readonly namespace: string;
  /** Cannot be read, and holds nothing but the data directory. */
  readonly stateDirectory: string;
  /** Below the state directory; belongs to `uid`. */
  readonly dataDirectory: string;
  /** A directory that it may enter although others may not; holds its program. */
  readonly opened: string | undefined;
  /** User and group of this service alone. */
  readonly uid: number;
  /** Capabilities that it keeps. */
  readonly keeps: readonly ('net_bind_service' | 'dac_read_search')[];
};

/**
 * Its own processes, and kernel switches that nobody can turn. Unix sockets and key files are reached through the file
 * system, which a network namespace does not divide: an empty directory hides them, and only the data shows through.
 */
const FURNISH = `
  open_directory() { ${OPEN_DIRECTORY}
  }
  mount -t proc -o ro,nosuid,nodev,noexec none /proc &&
  (
    cd "$2" && { [ -z "$3" ] || open_directory "$3"; } &&
    mount -t tmpfs -o nosuid,nodev,noexec,size=64k,mode=711 none "$1" &&
    umask 066 && mkdir -p "$2" &&
    mount --no-canonicalize --bind . "$2"
  ) &&
  mount -o remount,bind,ro,nosuid,nodev,noexec "$1" &&
  cd "$PWD" && shift 3 && exec "$@"`;

/**
 * The first process of a process namespace: the kernel spares it signals that it has no handler for, which a service
 * must not be spared. It takes in orphans, and its end ends all that is left.
 */
const AWAIT = '"$@"; exit $?';

/**
 * The command line that runs `command` confined. Its process stays outside of the process namespace, is deaf to
 * SIGTERM, and ends as the command does; a signal to its group reaches the command too.
 */
export function commandInside(
  { namespace, stateDirectory, dataDirectory, opened = '', uid, keeps }: Confinement,
  command: readonly [string, ...string[]],
): [string, ...string[]] {
  const kept = ['-all', ...keeps.map(name => `+${name}`)].join(',');
  return [
    'nsenter',
    `--net=/run/netns/${namespace}`,
    '--',
    'unshare',
    '--mount',
    '--ipc',
    '--pid',
    '--fork',
    '--kill-child',
    '--',
    'sh',
    '-c',
    FURNISH,
    'sh',
    stateDirectory,
    dataDirectory,
    opened,
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${uid}`,
    '--clear-groups',
    `--bounding-set=${kept}`,
    `--inh-caps=${kept}`,
    `--ambient-caps=${kept}`,
    '--no-new-privs',
    // A change of user makes the kernel forget what is to happen when the process outside is killed.
    '--pdeathsig=KILL',
    '--',
    'sh',
    '-c',
    AWAIT,
    'sh',
    ...command,
  ];
}
