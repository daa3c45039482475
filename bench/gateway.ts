import { systemClock } from '#base/clock';
import { createLog } from '#base/log';
import { bundleSchema } from '#domain/bundle';
import { createGateway } from '#service/gateway';
import { openJournal } from '#service/ledger';
import type { SvidKeyPair } from '#service/point';

/** The real gateway with a real journal, for the benchmark: one JSON line in, then it serves until it is stopped. */
type Start = {
  readonly bundle: unknown;
  readonly identities: Readonly<Record<string, SvidKeyPair>>;
  readonly trustAnchors: readonly string[];
  readonly journal: string;
};

const clock = systemClock;
const log = createLog({ name: 'gateway', level: 'warn', clock, write: line => process.stderr.write(line) });

let text = '';
for await (const chunk of process.stdin) text += String(chunk);
const start = JSON.parse(text) as Start;
const journal = await openJournal({ directory: start.journal, point: 'gateway', clock, log });
// Nobody ships these records: they are let go as control would do once it has them.
journal.onAppended(() => journal.acknowledge(journal.nextSeq - 1));
const gateway = createGateway({ journal, clock, log });
await gateway.apply(bundleSchema.check(start.bundle), {
  trustAnchors: start.trustAnchors,
  current: name => start.identities[name],
});
process.once('SIGTERM', () => {
  gateway.close();
  void journal.close().then(() => process.exit(0));
});
