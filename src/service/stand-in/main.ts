import { createInterface } from 'node:readline';
import type { StandInConfig } from './stand-in-config.ts';
import { Troupe } from './troupe.ts';

// A process of its own: reads configurations until its input ends, then ends.
const troupe = new Troupe(message => process.stderr.write(`${message}\n`));

for await (const line of createInterface({ input: process.stdin })) {
  // The only writer is the supervisor that started this process.
  await troupe.play(JSON.parse(line) as StandInConfig);
}
process.exit(0);
