const AHEAD = 16;

/**
 * Gives what `read` gives for each number from `from` on, in order, with some of them under way.
 *
 * @param read never rejects: nobody would hear of one that is under way when the rest is no longer wanted
 */
export async function* readAhead<T>(
  from: number,
  to: number,
  read: (index: number) => Promise<T>,
): AsyncGenerator<readonly [index: number, value: T]> {
  const ahead: Promise<T>[] = [];
  let next = from;
  for (let index = from; index < to; index += 1) {
    for (; next < to && next < index + AHEAD; next += 1) ahead.push(read(next));
    const value = ahead.shift();
    if (value !== undefined) yield [index, await value];
  }
}
