import { join } from 'node:path';
import type { Clock } from '#base/clock';
import type { Placement } from '#domain/compile';
import type { Model } from '#domain/model';
import { hasCode } from '#base/error';
import type { Control } from '#service/control';
import type { Placed } from './change-over.ts';
import { startPoints, whenApplied, type PointProcess } from './enforcement-points.ts';
import { openParts, type Parts } from './open-parts.ts';
import { removeExternalVariables, writeExternalVariables } from './external-variables.ts';
import { findUnstartable, type WithoutRun } from './find-unstartable.ts';
import type { Progress } from './progress.ts';
import { removeReadyFile, writeReadyFile, type ReadyFile, type ReadyService } from './ready-file.ts';
import { asStateFault } from './state-directory.ts';
import { UpError } from './up-error.ts';

export type SystemOptions = {
  readonly source: { readonly file: string; readonly directory: string; readonly text: string };
  /** What `source` says. */
  readonly model: Model;
  /** Absolute; made with mode 0700. */
  readonly stateDirectory: string;
  readonly withoutRun: WithoutRun;
  /** The gateway's port, when it is not to be the model's. */
  readonly edgePort: number | undefined;
  /** Why services are to share the machine's network; `undefined` gives them namespaces where possible. */
  readonly sharedNetworkBecause: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly progress: Progress;
  /** Ends the start. */
  readonly signal: AbortSignal;
  /** Ends all processes at once, so that whatever waits for them goes on. */
  readonly hurry: AbortSignal;
  readonly clock: Clock;
};

/** A system that is up. */
export type System = {
  readonly ready: ReadyFile;
  readonly control: Control;
  /** Ends everything in order; nothing is left on the machine but the state directory. */
  close(): Promise<void>;
};

const READY_WITHIN_MS = 30_000;
/** Of these the log says more. */
const FAULTS_OF_PROCESSES = ['exited', 'not-ready', 'not-started', 'rejected', 'silent'];

/**
 * Brings up everything that a model describes; resolves once every part is ready.
 *
 * @throws {CodedError} with one message that says what to change; nothing is left running then
 */
export async function startSystem(options: SystemOptions): Promise<System> {
  await using stack = new AsyncDisposableStack();
  const system = new RunningSystem(options, stack);
  await system.start();
  const whole = stack.move();
  return {
    get ready() {
      return system.describe();
    },
    control: system.control,
    close: () => whole.disposeAsync(),
  };
}

class RunningSystem {
  readonly #options: SystemOptions;
  readonly #stack: AsyncDisposableStack;
  #parts: Parts | undefined;
  #points: PointProcess[] = [];
  #isUp = false;
  #failure: unknown;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: SystemOptions, stack: AsyncDisposableStack) {
    this.#options = options;
    this.#stack = stack;
  }

  get control(): Control {
    return this.#running.control;
  }

  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      this.#failure = error;
      throw await asStateFault(this.#options.stateDirectory, error);
    }
  }

  async #start(): Promise<void> {
    const { model: given, source, progress } = this.#options;
    const refused = findUnstartable(given, this.#options);
    if (refused !== undefined) throw refused;
    this.#parts = await openParts(this.#options, this.#stack, {
      ready: ({ name }) => progress.ready(name, this.#describeProcess(name)),
      settled: placed => this.#settled(placed),
      processStarted: () => this.#processStarted(),
      remains: () => this.#remains(),
    });
    const { changeOver, control, network, placer, stateDirectory } = this.#parts;
    progress.ready('control', `state in ${stateDirectory}`);
    for (const issuer of given.issuers) {
      const url = this.#parts.issuers.urlOf(issuer);
      if (url !== undefined)
        progress.ready('issuer', issuer.issuer === 'local' ? url : `plays ${issuer.issuer} at ${url}`);
    }

    const outcome = await control.apply(source);
    if (outcome.kind !== 'done') throw new TypeError(`control refuses a checked model: ${outcome.kind}`);
    const placed = this.#current;
    const { model, placement } = placed;
    this.#carryOn();
    const { status } = network;
    progress.ready(
      'network',
      status.kind === 'enforced' ? 'a namespace for each service' : `not enforced: ${status.why}`,
    );

    await this.#startProcesses(model, placement);
    await placer.settle(model, placement);
    this.#stack.defer(() => this.#removeReady());
    this.#stack.defer(() => changeOver.end());
    this.#isUp = true;
    await this.#settled(placed);
    changeOver.begin();
  }

  describe(): ReadyFile {
    const { control, issuers, network, runner, placer, stateDirectory } = this.#running;
    const { model, placement } = this.#current;
    const services = [...placement.services].map(([name, { inbound, app }]): [string, ReadyService] => {
      const namespace = placer.ends.get(name)?.namespace;
      const { pid, isStandIn = false } = runner.processOf(name) ?? {};
      return [
        name,
        {
          inbound,
          app,
          ...(namespace !== undefined && { namespace }),
          ...(pid !== undefined && { pid }),
          standIn: isStandIn,
        },
      ];
    });
    const { gateway, agents } = placement;
    return {
      gateway: `https://${gateway.listen.host}:${gateway.listen.port}`,
      hosts: model.edge.hosts.map(({ host }) => host),
      control: control.socketPath,
      ca: join(stateDirectory, 'ca.pem'),
      issuer: issuers.source?.issuer ?? null,
      network: network.status,
      points: [
        { name: gateway.name, kind: 'gateway', admin: gateway.admin },
        ...agents.map(({ name, admin }) => ({ name, kind: 'agent' as const, admin })),
      ],
      services: Object.fromEntries(services),
      pids: {
        up: process.pid,
        ...Object.fromEntries(
          this.#points.flatMap(({ name, child }) => (child.pid === undefined ? [] : [[name, child.pid]])),
        ),
      },
    };
  }

  async #startProcesses(model: Model, placement: Placement): Promise<void> {
    const { childLog, control, logDirectory, runner, stateDirectory } = this.#running;
    const { environment, clock, progress } = this.#options;
    // LIFO: the gateway takes no more before services and agent go.
    this.#stack.defer(() => this.#stopPoints('agent'));
    this.#stack.defer(() => runner.stop());
    this.#stack.defer(() => this.#stopPoints('gateway'));
    this.#points = startPoints({
      placement,
      control,
      stateDirectory,
      logDirectory,
      environment,
      onStart: this.#running.onStart,
      clock,
      log: childLog,
    });
    const services = await runner.run(model, placement);
    this.#carryOn();

    const waits = [
      ...this.#points.map(async ({ name, kind, child }) => {
        await child.ready(READY_WITHIN_MS);
        await whenApplied(control, name, READY_WITHIN_MS);
        const { host, port } = placement.gateway.listen;
        progress.ready(
          name,
          kind === 'gateway' ? `https://${host}:${port}` : `for ${count(placement.services.size, 'service')}`,
        );
      }),
      ...services.map(async start => {
        await start.ready(READY_WITHIN_MS);
        progress.ready(start.name, this.#describeProcess(start.name));
      }),
    ];
    const { promise: interrupted, reject } = Promise.withResolvers<never>();
    const interrupt = () => reject(new UpError('interrupted', 'interrupted'));
    this.#options.signal.addEventListener('abort', interrupt, { once: true });
    try {
      await Promise.race([Promise.all(waits), interrupted]);
    } finally {
      this.#options.signal.removeEventListener('abort', interrupt);
      // Those that still wait are told by their processes' end.
      void Promise.allSettled(waits);
    }
  }

  #describeProcess(name: string): string {
    const { changeOver, runner } = this.#running;
    const app = changeOver.latest?.placement.services.get(name)?.app;
    if (app === undefined) return '';
    const kind = runner.processOf(name)?.isStandIn === true ? 'stand-in at' : 'at';
    return `${kind} ${app.host}:${app.port}`;
  }

  // ---- changes of a running system

  /** Another model is in force. */
  async #settled({ model, placement }: Placed): Promise<void> {
    await writeExternalVariables(this.#running, model, placement);
    await this.#writeReady();
  }

  // ---- the rest

  /** A process that was started again has another id; it is known once its start has returned. */
  #processStarted(): void {
    if (this.#isUp) setImmediate(() => void this.#writeReady().catch(() => {}));
  }

  async #stopPoints(kind: 'gateway' | 'agent'): Promise<void> {
    await Promise.all(
      this.#points.filter(point => point.kind === kind).map(async ({ child }) => child.stop()),
    );
  }

  /** One after the other: the last to be written is the last that was true. */
  #writeReady(): Promise<void> {
    const written = this.#writing.then(async () => {
      if (this.#isUp) await writeReadyFile(this.#running.stateDirectory, this.describe());
    });
    this.#writing = written.catch(() => {});
    return written;
  }

  async #removeReady(): Promise<void> {
    this.#isUp = false;
    await this.#writing;
    const { stateDirectory } = this.#running;
    await Promise.all([removeReadyFile(stateDirectory), removeExternalVariables(stateDirectory)]);
  }

  /** What is left of a state directory that a failed start made; of one that was up, all. */
  #remains(): readonly string[] | undefined {
    if (this.#failure === undefined) return undefined;
    return FAULTS_OF_PROCESSES.some(code => hasCode(this.#failure, code)) ? ['logs'] : [];
  }

  get #current(): Placed {
    const placed = this.#running.changeOver.current;
    if (placed === undefined) throw new TypeError('nothing is placed');
    return placed;
  }

  #carryOn(): void {
    if (this.#options.signal.aborted) throw new UpError('interrupted', 'interrupted');
  }

  get #running(): Parts {
    if (this.#parts === undefined) throw new TypeError('the system is not open');
    return this.#parts;
  }
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
