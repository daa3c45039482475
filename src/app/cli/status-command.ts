import { resolve } from 'node:path';
import { Command } from 'commander';
import { quote } from '#base/error';
import { callControl, ControlError } from '#service/control-client';
import type { ControlStatus, PointStatus } from '#service/control';
import { reportControlFailure } from './control-failure.ts';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { paint } from './paint.ts';

/** `ringwall status`: every point, what it applies, how far it is behind, when its certificates end. */
export function statusCommand(io: Io, finish: Finish): Command {
  return new Command('status')
    .description(
      'show every enforcement point: what it applies, how far it is behind, when its certificates end',
    )
    .option('--state <dir>', 'the state directory of the running system', '.ringwall')
    .option('--json', 'print the status as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall status
  watch ringwall status
  ringwall status --json | jq '.points[] | select(.lagMs > 0)'

Exits 0 when every point is connected and has the wanted version in force, 1 when one has not, 69 when nothing runs on
the state directory.`,
    )
    .action(async (options: { readonly state: string; readonly json?: true }) => {
      try {
        const status = await callControl<ControlStatus>(resolve(io.cwd, options.state), 'GET', '/status');
        io.out(
          options.json === true
            ? `${JSON.stringify(status, null, 2)}\n`
            : formatStatus(io, status, Date.now()),
        );
        finish(exitCodeOf(status));
      } catch (error) {
        if (!(error instanceof ControlError)) throw error;
        finish(reportControlFailure(io, error));
      }
    });
}

function exitCodeOf({ points }: ControlStatus): ExitCode {
  return points.every(isWell) ? EXIT.ok : EXIT.negative;
}

function isWell({ appliedVersion, connected, unknownVersion, wantedVersion }: PointStatus): boolean {
  return connected && appliedVersion === wantedVersion && unknownVersion === null;
}

const HEADINGS = ['POINT', 'KIND', 'CONNECTED', 'VERSION', 'LAG', 'CERTIFICATES', 'RECORDS BEHIND'];

function formatStatus(io: Io, status: ControlStatus, nowMs: number): string {
  const { adopted, points, revoked, system, trustDomain, version } = status;
  if (system === null) return 'control runs; no model is applied yet\n';
  const rows = [HEADINGS, ...points.map(point => rowOf(point, nowMs))];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)));
  const table = rows.map((row, i) => {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    const point = points[i - 1];
    if (point === undefined) return paint(io, 'dim', line);
    return isWell(point) ? line : paint(io, 'yellow', line);
  });
  const faults = points
    .filter(({ rejected }) => rejected !== '')
    .map(point => `${point.name} rejects version ${point.wantedVersion}: ${quote(point.rejected)}`);
  const unknown = points
    .filter(({ unknownVersion }) => unknownVersion !== null)
    .map(
      ({ name, unknownVersion }) =>
        `${name} holds version ${unknownVersion}, which this control does not know; it gets no other before it has shown it`,
    );
  const unhealthy = points
    .filter(({ journalHealthy }) => !journalHealthy)
    .map(({ name }) => `${name} cannot write its records to disk`);
  const cutOff = revoked.length === 0 ? [] : [`cut off: ${revoked.join(', ')}`];
  const regained = adopted.map(
    ({ point, service }) =>
      `${service} was cut off by a change that this control has lost; ${point} had it: \`ringwall restore ${service}\` takes it back`,
  );
  const notes = [...faults, ...unknown, ...unhealthy, ...cutOff, ...regained].map(
    note => `${paint(io, 'red', note)}\n`,
  );
  return `${system} (${trustDomain}), version ${version}\n\n${table.join('\n')}\n${notes.length === 0 ? '' : `\n${notes.join('')}`}`;
}

function rowOf(point: PointStatus, nowMs: number): string[] {
  const {
    appliedVersion,
    certificateNotAfterMs,
    connected,
    kind,
    lagMs,
    name,
    recordsBehind,
    wantedVersion,
  } = point;
  return [
    name,
    kind,
    connected ? 'yes' : 'no',
    appliedVersion === wantedVersion ? `${appliedVersion}` : `${appliedVersion} of ${wantedVersion}`,
    lagMs === 0 ? '-' : duration(lagMs),
    certificateNotAfterMs === null
      ? '-'
      : certificateNotAfterMs <= nowMs
        ? 'expired'
        : `for ${duration(certificateNotAfterMs - nowMs)}`,
    `${recordsBehind}`,
  ];
}

function duration(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  return `${Math.round(ms / 60_000)} min`;
}
