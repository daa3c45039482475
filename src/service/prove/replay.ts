import type { Shot } from '#domain/attack';

/** A command line that makes this one shot again. */
export function replayOf({ id }: Pick<Shot, 'id'>, stateOption = ''): string {
  return `npx ringwall prove${stateOption} --only ${quoteForShell(id)}`;
}

function quoteForShell(text: string): string {
  return /^[\w@/.:-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
