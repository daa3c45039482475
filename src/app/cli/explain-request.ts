import { resolve } from 'node:path';
import { callControl, ControlError } from '#service/control-client';
import { explain, findRule, type RuleView } from '#domain/explain';
import { OUTSIDE, parseModel, type Model } from '#domain/model';
import type { TransactionRecord } from '#domain/record';
import type { RecordsView } from '#service/ledger';
import { reportControlFailure } from './control-failure.ts';
import { describeRule } from './describe-rule.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { paint, type Colour } from './paint.ts';

type Hop = { readonly point: string; readonly record: TransactionRecord };

const COLOURS: Readonly<Record<TransactionRecord['decision'], Colour>> = {
  allowed: 'green',
  refused: 'red',
  failed: 'yellow',
};

/** Tells what every point decided on one request, by which line of the model that runs. */
export async function explainRequest(
  io: Io,
  requestId: string,
  options: { readonly state: string; readonly json: boolean },
): Promise<ExitCode> {
  const stateDir = resolve(io.cwd, options.state);
  try {
    const hops = await findHops(stateDir, requestId);
    const model = await runningModel(stateDir);
    const explained = hops.map(({ point, record }) => {
      const rule = model === undefined ? undefined : ruleOf(model, record);
      return { point, record, rule };
    });
    io.out(
      options.json
        ? `${JSON.stringify(explained, null, 2)}\n`
        : explained.map(({ point, record, rule }) => formatHop(io, point, record, rule)).join(''),
    );
    return hops.every(({ record }) => record.decision === 'allowed') ? EXIT.ok : EXIT.negative;
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    if (error.problem?.status === 404) {
      io.err(
        `ringwall: no record of request ${requestId}; records of relaxed services arrive within a second\n`,
      );
      return EXIT.undecided;
    }
    return reportControlFailure(io, error);
  }
}

async function findHops(stateDir: string, requestId: string): Promise<Hop[]> {
  const { records } = await callControl<RecordsView>(
    stateDir,
    'GET',
    `/records/${encodeURIComponent(requestId)}`,
  );
  return records
    .flatMap(entry => (entry.kind === 'record' ? [{ point: entry.point, record: entry.record }] : []))
    .sort((a, b) => a.record.timeMs - b.record.timeMs || depth(a.record) - depth(b.record));
}

/** The rule that decided, or came nearest. No rule at all is known of a path that no route has: then the model is asked. */
function ruleOf(model: Model, record: TransactionRecord): RuleView | undefined {
  if (record.rule !== '') return findRule(model, record.rule);
  if (record.direction !== 'edge' || record.decision !== 'refused' || record.method === '') return undefined;
  const { host, method, path } = record;
  const answer = explain(model, { caller: OUTSIDE, callee: host, method, path });
  return answer.kind === 'refused' ? answer.nearest?.rule : undefined;
}

/** Hops of the same millisecond stand in the order in which a request passes them. */
function depth({ direction }: TransactionRecord): number {
  return ['edge', 'inbound', 'outbound', 'egress'].indexOf(direction);
}

async function runningModel(stateDir: string): Promise<Model | undefined> {
  const source = await callControl<Parameters<typeof parseModel>[0]>(stateDir, 'GET', '/model');
  const parsed = parseModel(source);
  return parsed.kind === 'model' ? parsed.model : undefined;
}

function formatHop(io: Io, point: string, record: TransactionRecord, rule: RuleView | undefined): string {
  const { callee, client, decision, detail, direction, method, path, reason, status } = record;
  const reasons = reason === '' ? '' : ` (${reason}${detail === '' ? '' : `: ${detail}`})`;
  const who = client.id === '' ? client.kind : `${client.kind} ${client.id}`;
  const lines = [
    `${point}, ${direction}: ${paint(io, COLOURS[decision], decision)}${reasons}, status ${status}`,
    `  ${who} from ${client.address}: ${method} ${record.host}${path}${callee === '' ? '' : ` → ${callee}`}`,
  ];
  if (rule !== undefined)
    lines.push(`  ${decision === 'refused' ? 'nearest: ' : 'by '}${describeRule(rule)}`);
  else if (record.rule !== '')
    lines.push(`  by ${record.rule}, which the running model does not have any more`);
  return `${lines.join('\n')}\n`;
}
