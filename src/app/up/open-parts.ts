import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createLog, type Log } from '#base/log';
import type { Model } from '#domain/model';
import { startControl, type Control } from '#service/control';
import { LedgerKeeper, openLedger } from '#service/ledger';
import { isPortFree, openNetwork, openPortBook, type Network } from '#service/network';
import { openSealer, writeFileAtomically, type Sealer } from '#service/sealed';
import { claimState, LogFile, openRoster } from '#service/supervise';
import { ChangeOver, type Placed } from './change-over.ts';
import { openLedgerSigner } from './ledger-signer.ts';
import { LocalIssuers } from './local-issuers.ts';
import { MachinePlacer } from './machine-placer.ts';
import { ProcessList } from './process-list.ts';
import { ServiceParts } from './service-parts.ts';
import { ServiceRunner, type Start } from './service-runner.ts';
import type { SystemOptions } from './start-system.ts';
import { makeStateDirectory, rememberEntries } from './state-directory.ts';
import { UpError } from './up-error.ts';

/** What a system consists of before its first process is started. */
export type Parts = {
  readonly stateDirectory: string;
  readonly logDirectory: string;
  readonly network: Network;
  readonly issuers: LocalIssuers;
  readonly placer: MachinePlacer;
  readonly runner: ServiceRunner;
  readonly changeOver: ChangeOver;
  readonly control: Control;
  /** Of processes; what it says is shown too. */
  readonly childLog: Log;
  readonly onStart: (pid: number) => void;
};

export type Hooks = {
  /** A process of a change of the model has come up. */
  readonly ready: (start: Start) => void;
  /** Another model is in force. */
  readonly settled: (placed: Placed) => Promise<void>;
  readonly processStarted: () => void;
  /** What a run that did not come up leaves behind of what it made; `undefined` when it came up. */
  readonly remains: () => readonly string[] | undefined;
};

/** Opens the parts that live in this process; `stack` closes them again. */
export async function openParts(
  options: SystemOptions,
  stack: AsyncDisposableStack,
  hooks: Hooks,
): Promise<Parts> {
  const { clock, environment, model, withoutRun } = options;
  const standIns = withoutRun === 'played';
  const directory = await makeStateDirectory(options.stateDirectory);
  stack.defer(() => directory.leave());
  const stateDirectory = directory.path;
  const claim = await claimState(stateDirectory);
  stack.defer(() => claim.release());
  const forgetNews = await rememberEntries(stateDirectory);
  stack.defer(async () => {
    const spared = hooks.remains();
    if (spared !== undefined) await forgetNews(spared);
  });
  const logDirectory = join(stateDirectory, 'logs');
  if (!existsSync(logDirectory)) await mkdir(logDirectory, { mode: 0o700 });
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

  const ports = await openPortBook(stateDirectory, new Set([edgePort, ...portsOfIssuers(model)]));
  const sealer = await openKeys(stateDirectory);
  const network = await openNetwork({ stateDirectory, refusedBecause: options.sharedNetworkBecause });
  stack.defer(() => network.close());
  const issuers = await LocalIssuers.open({ stateDirectory, sealer, ports, standIns, clock, log });
  stack.defer(() => issuers.close());
  const issuersStarted = issuers.start(model);
  // Asked for once the ledger is there, or never.
  issuersStarted.catch(() => {});
  const ledger = await openSystemLedger(options, stateDirectory, sealer, log);
  stack.defer(() => ledger.close());
  await issuersStarted;

  const childLog = alsoShown(log, options);
  const parts = new ServiceParts({
    network,
    standIns,
    stateDirectory,
    logDirectory,
    environment,
    issuerVariables: (service, place) => issuers.variablesOf(service, place),
    onStart,
    note: text => options.progress.note(text),
  });
  const runner = new ServiceRunner({ parts, clock, log: childLog });
  const placer = new MachinePlacer({
    network,
    ports,
    edgePort: options.edgePort,
    isStarted: service => service.run !== undefined || standIns,
  });
  const changeOver = new ChangeOver({
    placer,
    runner,
    issuers,
    withoutRun,
    environment,
    onReady: hooks.ready,
    onSettled: hooks.settled,
  });
  const controlPort = (await ports.assign(['control'])).get('control') ?? 0;
  const control = await startControl({
    stateDir: stateDirectory,
    trustDomain: model.trustDomain,
    listen: { host: '127.0.0.1', port: controlPort },
    placer: changeOver,
    keeper: new LedgerKeeper(ledger),
    issuer: () => issuers.source,
    issuerUrl: issuer => issuers.urlOf(issuer),
    issuerAlgorithm: issuer => issuers.algorithmOf(issuer),
    clock,
    log,
  });
  stack.defer(() => control.close());
  await writeFileAtomically(join(stateDirectory, 'ca.pem'), control.trustAnchors.join(''));
  return {
    stateDirectory,
    logDirectory,
    network,
    issuers,
    placer,
    runner,
    changeOver,
    control,
    childLog,
    onStart,
  };
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
