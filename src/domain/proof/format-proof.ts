import { CELL_STATES, type CellState, type Ring } from '#domain/rings';
import { tally, type Cell, type Proof, type ShotResult } from './proof.ts';

/** How a text is painted: `plain` on what is no terminal. */
export type Paint = (text: string, state: CellState | '-') => string;

const SHORT: Readonly<Record<Ring, string>> = {
  edge: 'edge',
  transport: 'trans',
  authentication: 'authn',
  rate: 'rate',
  vetting: 'vet',
  authorization: 'authz',
  network: 'net',
  data: 'data',
  supply: 'supply',
  audit: 'audit',
  detection: 'detect',
};

const MAX_SHOWN = 20;
const MAX_REASONS = 8;

/** Matrix, then what got through, then what showed nothing, then one line of counts. */
export function formatProof(proof: Proof, paint: Paint = text => text): string {
  return [
    ...formatMatrix(proof, paint),
    '',
    ...formatLegend(proof),
    ...formatCells(proof),
    ...formatFailures(proof, paint),
    ...formatInconclusive(proof, paint),
    '',
    summaryLine(proof),
    '',
  ].join('\n');
}

/** `612 attacks of 104 kinds in 41 s: 612 held, 0 failed, 0 inconclusive` */
function summaryLine({ results, durationMs }: Pick<Proof, 'results' | 'durationMs'>): string {
  const { held, failed, inconclusive } = tally(results);
  const kinds = new Set(results.map(({ shot }) => shot.attack.id)).size;
  const seconds = durationMs < 9_950 ? (durationMs / 1000).toFixed(1) : Math.round(durationMs / 1000);
  return `${results.length} attacks of ${kinds} kinds in ${seconds} s: ${held} held, ${failed} failed, ${inconclusive} inconclusive`;
}

function formatMatrix(proof: Proof, paint: Paint): string[] {
  const rings = Object.keys(SHORT) as Ring[];
  const services = Object.entries(proof.matrix);
  const nameWidth = Math.max(7, ...services.map(([name]) => name.length));
  const texts = services.flatMap(([, cells]) => rings.map(ring => cellText(cells[ring], proof)));
  const width = Math.max(COLUMN, ...texts.map(text => text.length + 1));
  const header = rings.map(ring => SHORT[ring].padEnd(width)).join('');
  return [
    `${''.padEnd(nameWidth)}  ${header}`.trimEnd(),
    ...services.map(([name, cells]) => {
      const row = rings.map(ring => {
        const text = cellText(cells[ring], proof);
        return paint(text, cells[ring].state) + ' '.repeat(width - text.length);
      });
      return `${name.padEnd(nameWidth)}  ${row.join('')}`.trimEnd();
    }),
  ];
}

const AGE_UNITS = [
  [3_600, 'h'],
  [60, 'm'],
] as const;

/** `proven`, or `proven 3h` when it rests on an attack of an earlier proof. */
function cellText({ state, sinceMs }: Cell, { startedMs, durationMs }: Proof): string {
  if (sinceMs === null || sinceMs >= startedMs) return state;
  const seconds = Math.floor((startedMs + durationMs - sinceMs) / 1000);
  const [unitS, unit] = AGE_UNITS.find(([unitS]) => seconds >= unitS) ?? [1, 's'];
  return `${state} ${Math.floor(seconds / unitS)}${unit}`;
}

/** What the words of the matrix mean, of those that stand in it. */
function formatLegend({ matrix }: Proof): string[] {
  const seen = new Set(
    Object.values(matrix).flatMap(cells => Object.values(cells).map(({ state }) => state)),
  );
  const words = (Object.keys(CELL_STATES) as CellState[]).filter(state => seen.has(state));
  return [
    ...words.map(state => `${state.padEnd(COLUMN)}${CELL_STATES[state]}`),
    ...(seen.has('-')
      ? [`${'-'.padEnd(COLUMN)}not asked for by the classification, or no route leads there`]
      : []),
  ];
}

const COLUMN = 'declared'.length + 1;

/** Why cells are not green where nothing below says it, each reason once. */
function formatCells({ matrix, startedMs }: Proof): string[] {
  const reasons = new Map<
    string,
    { state: Cell['state']; rings: Set<string>; services: Set<string>; why: string }
  >();
  for (const [service, cells] of Object.entries(matrix)) {
    for (const [ring, { state, why: cause, sinceMs, proofs }] of Object.entries(cells)) {
      const isEarlier = sinceMs !== null && sinceMs < startedMs;
      if (state !== 'missing' && !(isEarlier && state !== 'proven')) continue;
      const why = isEarlier ? `${cause} (proofs/${proofs[0] ?? ''})` : cause;
      const entry = reasons.get(why) ?? { state, rings: new Set(), services: new Set(), why };
      entry.rings.add(ring);
      entry.services.add(service);
      reasons.set(why, entry);
    }
  }
  if (reasons.size === 0) return [];
  return [
    '',
    ...[...reasons.values()]
      .slice(0, MAX_REASONS)
      .map(
        ({ state, rings, services, why }) =>
          `${state}: ${[...rings].join(', ')} at ${[...services].join(', ')}: ${why}`,
      ),
  ];
}

function formatFailures({ results }: Proof, paint: Paint): string[] {
  const failures = results.filter(({ verdict }) => verdict.kind === 'failed');
  const shown = failures.slice(0, MAX_SHOWN).flatMap(result => ['', ...formatFailure(result, paint)]);
  return failures.length > MAX_SHOWN
    ? [...shown, '', `and ${failures.length - MAX_SHOWN} more that failed (--json has all)`]
    : shown;
}

function formatFailure({ shot, verdict, evidence }: ShotResult, paint: Paint): string[] {
  const { attack } = shot;
  return [
    `${paint('FAILED', 'broken')} ${shot.id}`,
    `  ${attack.vantage}: ${attack.title} (${attack.references.join(', ')})`,
    `  at ${shot.target}`,
    `  ${verdict.why}`,
    ...(evidence.requestId === ''
      ? []
      : [`  request ${evidence.requestId}${evidence.record === undefined ? ', not in the ledger' : ''}`]),
    ...(evidence.sent === '' ? [] : [`  sent      ${firstLine(evidence.sent)}`]),
    ...(evidence.received === '' ? [] : [`  received  ${firstLine(evidence.received)}`]),
    `  replay    ${evidence.replay}`,
    ...(evidence.byHand === undefined ? [] : [`  by hand   ${evidence.byHand}`]),
  ];
}

/** Many shots fail to show something for one cause: grouped by it. */
function formatInconclusive({ results }: Proof, paint: Paint): string[] {
  const groups = Map.groupBy(
    results.filter(({ verdict }) => verdict.kind === 'inconclusive'),
    ({ shot, verdict }) => `${shot.attack.ring} ${verdict.why}`,
  );
  return [...groups.values()].slice(0, MAX_SHOWN).flatMap(group => {
    const [first] = group;
    if (first === undefined) return [];
    const more = group.length > 1 ? ` and ${group.length - 1} more` : '';
    return [
      '',
      `${paint('INCONCLUSIVE', 'unknown')} ${first.shot.id}${more}`,
      `  ${first.verdict.why}`,
      `  replay    ${first.evidence.replay}`,
    ];
  });
}

/** UNTRUSTED: what came over the wire may hold anything; a terminal sees printable ASCII. */
function firstLine(text: string): string {
  const line = text.split('\n', 1)[0]?.trimEnd() ?? '';
  const shown = line.length > 120 ? `${line.slice(0, 120)}…` : line;
  return shown.replace(
    /[^\u0020-\u007e…]/g,
    unit => `\\x${unit.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
