import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { quote } from '#base/error';
import type { Model, Position, Run, Service } from '#domain/model';
import { childEnvironment } from '#service/supervise';
import { findProgram } from './find-program.ts';
import { UpError } from './up-error.ts';

/** What becomes of services without `run:`: nobody is to start them, stand-ins play them, they run by themselves. */
export type WithoutRun = 'refused' | 'played' | 'external';

const MOST_LISTED = 20;
const NO_GRPC =
  'listens on grpc, which only stand-ins can play so far; remove its `run:` and use --stand-ins';
const WHAT_TO_DO =
  'add `run:` to each; or let `ringwall up --stand-ins` play them; or say with `ringwall up --external` that they run by ' +
  'themselves, on 127.0.0.1 at the port of their `listen`';

/** Why the services of `model` cannot be started on this machine; `undefined` when nothing is known against it. */
export function findUnstartable(
  model: Model,
  options: {
    readonly withoutRun: WithoutRun;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): UpError | undefined {
  const services = [...model.services.values()];
  const orphans = services.filter(({ run }) => run === undefined);
  if (orphans.length > 0 && options.withoutRun === 'refused') return refuseOrphans(orphans, services.length);
  const faults = services.flatMap(({ name, protocol, run }) => {
    if (run === undefined) return [];
    // A stand-in speaks HTTP/1.1 whatever the model says.
    if (protocol === 'grpc') return [`${place(run.at)}: ${quote(name)} ${NO_GRPC}`];
    const fault = faultOf(run, options.environment);
    return fault === undefined ? [] : [`${place(run.at)}: ${quote(name)} cannot be started: ${fault}`];
  });
  return faults.length === 0 ? undefined : new UpError('no-program', faults.join('\n'));
}

function refuseOrphans(orphans: readonly Service[], services: number): UpError {
  const listed = orphans.slice(0, MOST_LISTED).map(({ name, at }) => `  ${place(at)}: ${name}`);
  const more = orphans.length > MOST_LISTED ? [`  and ${orphans.length - MOST_LISTED} more`] : [];
  const head = `${orphans.length} of ${services} services have no \`run:\`, and nothing would answer for them`;
  return new UpError('no-run', [head, ...listed, ...more, WHAT_TO_DO].join('\n'));
}

function faultOf(
  { command, directory, env }: Run,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (!isDirectory(directory)) return `there is no directory ${quote(directory)}`;
  const path = childEnvironment(environment, env, dirname(process.execPath))['PATH'] ?? '';
  const [program] = command;
  if (findProgram(program, { directory, path }) !== undefined) return undefined;
  return program.includes('/')
    ? `${quote(program)} is not a program that can be run (looked in ${quote(directory)})`
    : `there is no program ${quote(program)} on the PATH`;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function place({ file, line, column }: Position): string {
  return `${file}:${line}:${column}`;
}
