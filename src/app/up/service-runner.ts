import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import type { Placement, ServicePlacement } from '#domain/compile';
import { environmentName, originEnvironmentName, type Model, type Service } from '#domain/model';
import type { Network } from '#service/network';
import { standInProgram, standInService, type StandInConfig } from '#service/stand-in';
import { childEnvironment, startChild, type Child, type ChildSpec } from '#service/supervise';

export type ServiceRunnerOptions = {
  readonly network: Network;
  readonly standIns: boolean;
  readonly logDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Further variables of a service, such as its credentials at the local issuer. */
  readonly credentialsOf: (service: Service) => Readonly<Record<string, string>>;
  readonly onStart: (pid: number) => void;
  readonly clock: Clock;
  readonly log: Log;
};

/** A process to be, and what makes it another one than before. */
type Part = {
  readonly spec: ChildSpec;
  /** Of stand-ins: can be changed while they run. */
  readonly config: StandInConfig | undefined;
  readonly services: readonly string[];
};
type Running = { readonly child: Child; part: Part };

const PROGRAM_DIRECTORY = dirname(process.execPath);
const COMPILE_CACHE = fileURLToPath(new URL('../../../node_modules/.cache/ringwall', import.meta.url));

/** Runs the processes of a model's services. */
export class ServiceRunner {
  readonly #options: ServiceRunnerOptions;
  readonly #running = new Map<string, Running>();

  constructor(options: ServiceRunnerOptions) {
    this.#options = options;
  }

  /** Whether this service is started here. */
  isStarted(service: Service): boolean {
    return service.run !== undefined || this.#options.standIns;
  }

  /** The process that a service runs in, and whether it is a stand-in. */
  processOf(service: string): { readonly pid: number | undefined; readonly isStandIn: boolean } | undefined {
    for (const { child, part } of this.#running.values()) {
      if (part.services.includes(service)) return { pid: child.pid, isStandIn: part.config !== undefined };
    }
    return undefined;
  }

  /**
   * Starts what is new, starts anew what has changed, ends what is gone.
   *
   * @returns the processes that were started
   */
  async run(model: Model, placement: Placement): Promise<Child[]> {
    const parts = new Map(this.#partsOf(model, placement).map(part => [part.spec.name, part]));
    const outdated = [...this.#running].filter(([name, running]) => {
      const part = parts.get(name);
      return part === undefined || signatureOf(part) !== signatureOf(running.part);
    });
    await Promise.all(outdated.map(async ([, { child }]) => child.stop()));
    for (const [name] of outdated) this.#running.delete(name);

    const started: Child[] = [];
    for (const [name, part] of parts) {
      const running = this.#running.get(name);
      if (running === undefined) started.push(this.#start(part));
      else this.#renew(running, part);
    }
    return started;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map(async ({ child }) => child.stop()));
    this.#running.clear();
  }

  #start(part: Part): Child {
    const { clock, log } = this.#options;
    const { name } = part.spec;
    // A stand-in that crashed plays what is wanted of it by then.
    const config = () => JSON.stringify((this.#running.get(name)?.part ?? part).config);
    const input = part.config === undefined ? {} : { input: config };
    const child = startChild({ ...part.spec, ...input }, { clock, log });
    this.#running.set(name, { child, part });
    return child;
  }

  #renew(running: Running, part: Part): void {
    const before = JSON.stringify(running.part.config);
    const after = JSON.stringify(part.config);
    running.part = part;
    if (after !== undefined && after !== before) running.child.send(after);
  }

  #partsOf(model: Model, placement: Placement): Part[] {
    const placed = [...model.services.values()].flatMap(service => {
      const place = placement.services.get(service.name);
      return place === undefined ? [] : [{ service, place }];
    });
    const own = placed.flatMap(({ service, place }) =>
      service.run === undefined ? [] : [this.#ownPart(service, place)],
    );
    if (!this.#options.standIns) return own;
    const played = placed.filter(({ service }) => service.run === undefined);
    return [...own, ...this.#standInParts(played)];
  }

  #ownPart(service: Service, place: ServicePlacement): Part {
    const { network, environment, onStart } = this.#options;
    const { name, run } = service;
    if (run === undefined) throw new TypeError(`${name} has no command`);
    const declared = { ...run.env, ...addressesOf(place), ...this.#options.credentialsOf(service) };
    const spec: ChildSpec = {
      name,
      command: network.inside(name, run.command),
      directory: run.directory,
      env: childEnvironment(environment, declared, PROGRAM_DIRECTORY),
      listens: place.app,
      logPath: this.#logPath(name),
      onStart,
    };
    return { spec, config: undefined, services: [name] };
  }

  /** A process per namespace; without namespaces one plays all. */
  #standInParts(played: readonly { service: Service; place: ServicePlacement }[]): Part[] {
    const troupes =
      this.#options.network.status.kind === 'enforced'
        ? played.map(each => ({ name: each.service.name, members: [each] }))
        : [{ name: 'stand-ins', members: played }];
    return troupes.flatMap(({ name, members }): Part[] => {
      const [first] = members;
      if (first === undefined) return [];
      const spec: ChildSpec = {
        name,
        command: this.#options.network.inside(first.service.name, [
          process.execPath,
          '--disable-warning=ExperimentalWarning',
          standInProgram(),
        ]),
        directory: '/',
        env: childEnvironment(
          this.#options.environment,
          { NODE_COMPILE_CACHE: COMPILE_CACHE },
          PROGRAM_DIRECTORY,
        ),
        listens: first.place.app,
        logPath: this.#logPath(name),
        onStart: this.#options.onStart,
      };
      const config = { services: members.map(({ service, place }) => standInService(service, place)) };
      return [{ spec, config, services: members.map(({ service }) => service.name) }];
    });
  }

  #logPath(name: string): string {
    return join(this.#options.logDirectory, `${name}.log`);
  }
}

/** What a change of forces a new process. A stand-in's part can change while it runs, its address cannot. */
function signatureOf({ spec, config }: Part): string {
  const { command, directory, env, listens } = spec;
  return JSON.stringify({ command, directory, env, listens: config === undefined ? listens : null });
}

/** Where the service listens, and where it reaches what it may call. */
function addressesOf({ app, outbound, egress }: ServicePlacement): Record<string, string> {
  const variables: Record<string, string> = { HOST: app.host, PORT: String(app.port) };
  for (const [callee, { host, port }] of outbound) {
    variables[`${environmentName(callee)}_URL`] = `http://${host}:${port}`;
    variables[`${environmentName(callee)}_ADDR`] = `${host}:${port}`;
  }
  for (const [origin, { host, port }] of egress) {
    variables[`${originEnvironmentName(origin)}_URL`] = `http://${host}:${port}`;
  }
  return variables;
}
