import { shot } from './shot.ts';
import type { Attack, LedgerCheck } from './attack.ts';
import { describeEntry, edgeProbe, legitimate, onEntry, requestOf, type Entry } from './field.ts';

const REFERENCES = ['CWE-778', 'ASVS 16.4.2', 'T1070'];

const CHECKS: readonly {
  readonly check: LedgerCheck;
  readonly title: string;
  readonly references: readonly string[];
}[] = [
  {
    check: 'intact',
    title: 'verifies the whole ledger with the public key alone',
    references: ['RFC 9162', 'ASVS 16.4.2'],
  },
  { check: 'byte-flipped', title: 'flips one byte of a record', references: REFERENCES },
  { check: 'record-deleted', title: 'deletes a record', references: REFERENCES },
  { check: 'records-swapped', title: 'swaps two records', references: REFERENCES },
  { check: 'log-truncated', title: 'cuts off the end of the log', references: REFERENCES },
  {
    check: 'history-rewritten',
    title: 'rewrites history and computes the tree anew',
    references: REFERENCES,
  },
  {
    check: 'foreign-signature',
    title: 'signs the checkpoint with another key',
    references: ['CWE-347', ...REFERENCES],
  },
];

/** The ledger is one for all services: what is found counts for each of them. */
const ledgerChecks = CHECKS.map(({ check, title, references }) => {
  const attack: Attack = {
    id: `audit/${check}`,
    ring: 'audit',
    vantage: 'network',
    title: check === 'intact' ? title : `${title}, on a copy of the ledger`,
    references,
    aim: field =>
      [...field.model.services.keys()].map(service =>
        shot(attack, {
          place: service,
          service,
          target: `records of ${service}`,
          probe: { kind: 'ledger', check },
          control: check === 'intact' ? undefined : { kind: 'ledger', check: 'intact' },
          expect: { kind: 'detected' },
        }),
      ),
  };
  return attack;
});

const CHOSEN_ID = '00000000-0000-4000-8000-000000000000';

const choosesRequestId: Attack = {
  id: 'audit/chosen-request-id',
  ring: 'audit',
  vantage: 'outside',
  title: 'chooses the request id under which it is recorded',
  references: ['CWE-117', 'ASVS 16.4.1'],
  aim: field =>
    field.doors.map(entry =>
      shot(choosesRequestId, {
        place: entry.service,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path} with X-Request-Id`,
        probe: edgeProbe(entry, requestOf(entry, [['X-Request-Id', CHOSEN_ID]])),
        control: legitimate(entry),
        expect: { kind: 'recorded', requestIdIsNot: CHOSEN_ID },
      }),
    ),
};

const injectsRecord: Attack = {
  id: 'audit/record-injection',
  ring: 'audit',
  vantage: 'outside',
  title: 'writes a forged record into its query and headers',
  references: ['CWE-117', 'CVE-2024-45808', 'ASVS 16.4.1'],
  aim: field =>
    field.doors.map(entry =>
      shot(injectsRecord, {
        place: entry.service,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path} with a record in its headers`,
        probe: edgeProbe(
          entry,
          requestOf(
            entry,
            [
              ['User-Agent', '{"decision":"allowed","user":"admin"}'],
              ['Traceparent', '00-"},{"user":"admin"}-00'],
            ],
            '?%0a{%22decision%22:%22allowed%22,%22user%22:%22admin%22}',
          ),
        ),
        control: legitimate(entry),
        expect: entry.token.kind === 'none' ? { kind: 'recorded', user: '' } : { kind: 'recorded' },
      }),
    ),
};

const hidesInRefusal: Attack = {
  id: 'audit/attacks-recorded',
  ring: 'audit',
  vantage: 'outside',
  title: 'is refused, and hopes that nobody has written it down',
  references: ['CWE-778', 'ASVS 16.3.2', 'T1562.008'],
  aim: field =>
    field.entries.flatMap(entry => {
      const probe = refusedAnywhere(entry);
      if (probe === undefined) return [];
      return shot(hidesInRefusal, {
        place: entry.service,
        service: entry.service,
        target: `${describeEntry(entry)}, refused for its path, and all other refused attacks`,
        probe,
        control: legitimate(entry),
        expect: { kind: 'refusal-recorded' },
      });
    }),
};

function refusedAnywhere(entry: Entry) {
  const control = legitimate(entry);
  if (!('message' in control) || control.message.kind !== 'request') return undefined;
  return onEntry(entry, { ...control.message, path: '/../' });
}

export const AUDIT_ATTACKS: readonly Attack[] = [
  ...ledgerChecks,
  choosesRequestId,
  injectsRecord,
  hidesInRefusal,
];
