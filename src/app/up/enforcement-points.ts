import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '#base/clock';
import { CodedError } from '#base/error';
import type { Log } from '#base/log';
import type { Placement } from '#domain/compile';
import type { Control } from '#service/control';
import type { PointConfig } from '#service/point';
import { childEnvironment, startChild, type Child } from '#service/supervise';

class PointsError extends CodedError<'rejected' | 'silent'> {}

export type PointProcess = {
  readonly name: string;
  readonly kind: 'gateway' | 'agent';
  readonly child: Child;
};

const PROGRAM = fileURLToPath(new URL('../../../bin/ringwall', import.meta.url));
const POLL_MS = 20;

/** Starts the processes of gateway and agents; each start enrols with a token of its own. */
export function startPoints(options: {
  readonly placement: Placement;
  readonly control: Control;
  readonly stateDirectory: string;
  readonly logDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onStart: (pid: number) => void;
  readonly clock: Clock;
  readonly log: Log;
}): PointProcess[] {
  const { placement, control, stateDirectory, clock, log } = options;
  const start = (
    name: string,
    kind: 'gateway' | 'agent',
    admin: { host: string; port: number },
  ): PointProcess => {
    const input = (): string => {
      const config: PointConfig = {
        name,
        control: { ...control.address },
        trustAnchors: [...control.trustAnchors],
        joinToken: control.createJoinToken({ name, kind }),
        stateDir: join(stateDirectory, 'points', name),
      };
      return JSON.stringify(config);
    };
    const child = startChild(
      {
        name,
        command: [process.execPath, PROGRAM, 'point'],
        directory: stateDirectory,
        env: childEnvironment(options.environment, {}, dirname(process.execPath)),
        input,
        listens: admin,
        logPath: join(options.logDirectory, `${name}.log`),
        onStart: options.onStart,
      },
      { clock, log },
    );
    return { name, kind, child };
  };
  return [
    start(placement.gateway.name, 'gateway', placement.gateway.admin),
    ...placement.agents.map(({ name, admin }) => start(name, 'agent', admin)),
  ];
}

/**
 * Resolves once a point applies what control wants of it.
 *
 * @throws {PointsError} `rejected`, with the point's reason; `silent` after `timeoutMs`
 */
export async function whenApplied(control: Control, name: string, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const status = control.status().points.find(point => point.name === name);
    const isKnown = status?.connected === true && status.unknownVersion === null;
    if (isKnown && status.appliedVersion >= status.wantedVersion) return;
    if (status !== undefined && status.rejected !== '') {
      throw new PointsError('rejected', `the ${name} cannot apply the model: ${status.rejected}`);
    }
    if (performance.now() > end)
      throw new PointsError('silent', `the ${name} is not ready after ${timeoutMs / 1000} s`);
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}
