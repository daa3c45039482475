import type { Io } from './io.ts';

const CODES = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1, dim: 2 } as const;
export type Colour = keyof typeof CODES;

/** Colours `text` where the output is a terminal that shows colours, and nowhere else. */
export function paint(io: Io, colour: Colour, text: string): string {
  return io.colour ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}
