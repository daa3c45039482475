import { writeSync } from 'node:fs';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { openJournal } from './journal.ts';
import { sampleRecord } from './ledger-lab.ts';

// A process to be killed: writes durable records as fast as it can, and says which of them are confirmed.
const [, , directory = ''] = process.argv;
const journal = await openJournal({
  directory,
  point: 'gateway',
  clock: systemClock,
  log: silentLog,
  limits: { segmentBytes: 20_000 },
});
const write = () => {
  const number = journal.nextSeq;
  journal.append(sampleRecord(number), 'durable', error => {
    if (error === undefined) writeSync(1, `${number}\n`);
    write();
  });
};
for (let writers = 0; writers < 8; writers += 1) write();
