import type { Shot } from '#domain/attack';
import { shellWord } from './shell.ts';

/** A command line that makes this one shot again. */
export function replayOf({ id }: Pick<Shot, 'id'>, stateOption = ''): string {
  return `ringwall prove${stateOption} --only ${shellWord(id)}`;
}
