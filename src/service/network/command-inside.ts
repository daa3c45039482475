/**
 * What a service may keep when it runs as root. Nothing with which it could change its rules, leave its namespace,
 * read other processes' memory or forge packets.
 */
const KEPT_CAPABILITIES = [
  'chown',
  'dac_override',
  'fowner',
  'fsetid',
  'kill',
  'setgid',
  'setuid',
  'net_bind_service',
] as const;

// Unix sockets and key files are reached through the file system, which a network namespace does not divide.
const HIDE_AND_RUN =
  'mount -t tmpfs -o ro,nosuid,nodev,noexec,size=4k,mode=000 none "$1" && shift && exec "$@"';

/** The command line that runs `command` in `namespace`, with `stateDirectory` empty to it. Each step becomes the next. */
export function commandInside(
  namespace: string,
  stateDirectory: string,
  command: readonly [string, ...string[]],
): [string, ...string[]] {
  const kept = KEPT_CAPABILITIES.map(name => `+${name}`).join(',');
  return [
    'nsenter',
    `--net=/run/netns/${namespace}`,
    '--',
    'unshare',
    '--mount',
    '--',
    'sh',
    '-c',
    HIDE_AND_RUN,
    'sh',
    stateDirectory,
    'setpriv',
    `--bounding-set=-all,${kept}`,
    '--inh-caps=-all',
    '--no-new-privs',
    '--',
    ...command,
  ];
}
