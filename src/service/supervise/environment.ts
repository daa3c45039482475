/** What a child needs of the surroundings; everything else, credentials of the user's shell above all, stays out. */
const INHERITED = ['HOME', 'LANG', 'LC_ALL', 'PATH', 'TMPDIR', 'TZ', 'USER'] as const;

/**
 * The environment of a child process.
 *
 * @param outer the environment of this process
 * @param declared what the child is given by name; wins
 * @param programDirectory put before the path, so that `node` is the Node that Ringwall runs on
 */
export function childEnvironment(
  outer: Readonly<Record<string, string | undefined>>,
  declared: Readonly<Record<string, string>>,
  programDirectory: string,
): Record<string, string> {
  const inherited = INHERITED.flatMap(name => {
    const value = outer[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const path = outer['PATH'] ?? '/usr/local/bin:/usr/bin:/bin';
  return { ...Object.fromEntries(inherited), PATH: `${programDirectory}:${path}`, ...declared };
}
