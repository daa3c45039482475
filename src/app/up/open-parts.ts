import { existsSync } from 'node:fs';
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { createLog, type Log } from '#base/log';
import type { Placement } from '#domain/compile';
import type { Model } from '#domain/model';
import { startControl, type Control } from '#service/control';
import { LedgerKeeper, openLedger } from '#service/ledger';
import { isPortFree, openNetwork, openPortBook, type Network } from '#service/network';
import { openSealer, writeFileAtomically, type Sealer } from '#service/sealed';
import { claimState, LogFile, openRoster } from '#service/supervise';
import { openLedgerSigner } from './ledger-signer.ts';
import { LocalIssuers } from './local-issuers.ts';
import { MachinePlacer } from './machine-placer.ts';
import { ProcessList } from './process-list.ts';
import { ServiceRunner } from './service-runner.ts';
import { UpError } from './up-error.ts';
import type { SystemOptions } from './start-system.ts';

/** What a system consists of before its first process is started. */
export type Parts = {
  readonly stateDirectory: string;
  readonly logDirectory: string;
  readonly network: Network;
  readonly issuers: LocalIssuers;
  readonly placer: MachinePlacer;
  readonly runner: ServiceRunner;
  readonly control: Control;
  /** Of processes; what it says is shown too. */
  readonly childLog: Log;
  readonly onStart: (pid: number) => void;
};

export type Hooks = {
  readonly placed: (model: Model, placement: Placement) => void;
  readonly processStarted: () => void;
};

/** Opens the parts that live in this process; `stack` closes them again. */
export async function openParts(
  options: SystemOptions,
  stack: AsyncDisposableStack,
  hooks: Hooks,
): Promise<Parts> {
  const { clock, environment, model, standIns } = options;
  const { stateDirectory, logDirectory } = await makeDirectories(options.stateDirectory);

  const claim = await claimState(stateDirectory);
  stack.defer(() => claim.release());
  const roster = await openRoster(stateDirectory, left => {
    options.progress.note(`ending ${left} processes that an earlier run left behind`);
  });
  stack.defer(() => roster.clear());
  const processes = new ProcessList(options.hurry);
  stack.defer(() => processes.close());
  const onStart = (pid: number): void => {
    processes.add(pid);
    roster.add(pid).catch(() => {});
    hooks.processStarted();
  };

  const edgePort = options.edgePort ?? model.edge.port;
  if (!(await isPortFree(edgePort, '127.0.0.1'))) {
    throw new UpError(
      'port-taken',
      `port ${edgePort} is taken by another process; stop it, or choose one with --port`,
    );
  }
  const logFile = new LogFile(join(logDirectory, 'control.log'));
  stack.defer(() => logFile.close());
  const log = createLog({
    name: 'control',
    level: 'info',
    clock,
    write: line => logFile.write(line.trimEnd()),
  });

  const [network, ports, sealer] = await Promise.all([
    openNetwork({ stateDirectory, refusedBecause: options.sharedNetworkBecause }),
    openPortBook(stateDirectory, new Set([edgePort, ...portsOfIssuers(model)])),
    openKeys(stateDirectory),
  ]);
  stack.defer(() => network.close());
  const issuers = await LocalIssuers.open({ stateDirectory, sealer, ports, standIns, clock, log });
  stack.defer(() => issuers.close());
  const [ledger] = await Promise.all([
    openSystemLedger(options, stateDirectory, sealer, log),
    issuers.start(model),
  ]);
  stack.defer(() => ledger.close());

  const childLog = alsoShown(log, options);
  const runner = new ServiceRunner({
    network,
    standIns,
    stateDirectory,
    logDirectory,
    environment,
    credentialsOf: service => issuers.credentialsOf(service),
    onStart,
    note: text => options.progress.note(text),
    clock,
    log: childLog,
  });
  const placer = new MachinePlacer({
    network,
    ports,
    edgePort: options.edgePort,
    isStarted: service => runner.isStarted(service),
    onPlaced: hooks.placed,
  });
  const controlPort = (await ports.assign(['control'])).get('control') ?? 0;
  const control = await startControl({
    stateDir: stateDirectory,
    trustDomain: model.trustDomain,
    listen: { host: '127.0.0.1', port: controlPort },
    placer,
    keeper: new LedgerKeeper(ledger),
    ...(issuers.source !== undefined && { issuer: issuers.source }),
    issuerUrl: issuer => issuers.urlOf(issuer),
    issuerAlgorithm: issuer => issuers.algorithmOf(issuer),
    clock,
    log,
  });
  stack.defer(() => control.close());
  await writeFileAtomically(join(stateDirectory, 'ca.pem'), control.trustAnchors.join(''));
  return { stateDirectory, logDirectory, network, issuers, placer, runner, control, childLog, onStart };
}

/** A state directory that was not there holds no secret yet, but will. */
async function makeDirectories(path: string): Promise<{ stateDirectory: string; logDirectory: string }> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const stateDirectory = await realpath(path);
    const logDirectory = join(stateDirectory, 'logs');
    await mkdir(logDirectory, { recursive: true, mode: 0o700 });
    return { stateDirectory, logDirectory };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UpError('no-state-directory', `the state directory cannot be made: ${reason}`, {
      cause: error,
    });
  }
}

/** One key file for all that is sealed in this process; what is sealed already cannot be opened with a new one. */
async function openKeys(stateDirectory: string): Promise<Sealer> {
  const isUsed = existsSync(join(stateDirectory, 'ledger-key.sealed'));
  return openSealer({
    keyFile: join(stateDirectory, 'control.key'),
    whenMissing: isUsed ? 'refuse' : 'create',
  });
}

async function openSystemLedger(options: SystemOptions, stateDirectory: string, sealer: Sealer, log: Log) {
  const signer = await openLedgerSigner(stateDirectory, sealer, options.model.trustDomain);
  return openLedger({ directory: join(stateDirectory, 'ledger'), signer, clock: options.clock, log });
}

function portsOfIssuers(model: Model): number[] {
  return model.issuers.flatMap(({ port }) => (port === undefined ? [] : [port]));
}

function alsoShown(log: Log, { progress, signal }: SystemOptions): Log {
  const note = (text: string): void => {
    // While all is taken down, ends are no news.
    if (!signal.aborted) progress.note(text);
  };
  return {
    ...log,
    warn: (message, fields) => {
      log.warn(message, fields);
      note(`${String(fields?.['child'] ?? '')} ${String(fields?.['how'] ?? message)}; starts again`);
    },
    error: (message, fields) => {
      log.error(message, fields);
      note(message);
    },
  };
}
