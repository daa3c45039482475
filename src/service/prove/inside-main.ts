import { createInterface } from 'node:readline';
import type { InsideOrder, InsideReport } from './inside.ts';
import { talkOnce } from './wire.ts';

// A process of its own: carries out orders until its input ends, then ends.
for await (const line of createInterface({ input: process.stdin })) {
  // The only writer is the proof that started this process.
  void carryOut(JSON.parse(line) as InsideOrder);
}
process.exit(0);

async function carryOut({ id, address, bytes, method }: InsideOrder): Promise<void> {
  const talk = await talkOnce({ address }, bytes === null ? undefined : Buffer.from(bytes, 'base64'), method);
  const report: InsideReport = { id, talk: { ...talk, received: talk.received.toString('base64') } };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
