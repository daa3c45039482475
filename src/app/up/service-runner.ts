import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import type { Placement, ServicePlacement } from '#domain/compile';
import { environmentName, originEnvironmentName, type Model, type Service } from '#domain/model';
import { dataDirectoryOf, findPassage, type Network, type Passage } from '#service/network';
import { standInProgram, standInService, type StandInConfig } from '#service/stand-in';
import { childEnvironment, startChild, type Child, type ChildSpec } from '#service/supervise';
import { findProgramBarriers } from './find-program-barriers.ts';

export type ServiceRunnerOptions = {
  readonly network: Network;
  readonly standIns: boolean;
  readonly stateDirectory: string;
  readonly logDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Further variables of a service, such as its credentials at the local issuer. */
  readonly credentialsOf: (service: Service) => Readonly<Record<string, string>>;
  readonly onStart: (pid: number) => void;
  /** Told what people should know. */
  readonly note: (text: string) => void;
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
type Placed = { readonly service: Service; readonly place: ServicePlacement };
type Running = { readonly child: Child; part: Part };

const PROGRAM_DIRECTORY = dirname(process.execPath);
const COMPILE_CACHE = fileURLToPath(new URL('../../../node_modules/.cache/ringwall', import.meta.url));

/** Runs the processes of a model's services. */
export class ServiceRunner {
  readonly #options: ServiceRunnerOptions;
  readonly #running = new Map<string, Running>();
  readonly #passages = new Map<string, Promise<Passage>>();

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
    const parts = new Map((await this.#partsOf(model, placement)).map(part => [part.spec.name, part]));
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

  async #partsOf(model: Model, placement: Placement): Promise<Part[]> {
    const placed = [...model.services.values()].flatMap((service): Placed[] => {
      const place = placement.services.get(service.name);
      return place === undefined ? [] : [{ service, place }];
    });
    const own = await Promise.all(
      placed.filter(({ service }) => service.run !== undefined).map(async each => this.#ownPart(each)),
    );
    if (!this.#options.standIns) return own;
    const played = placed.filter(({ service }) => service.run === undefined);
    return [...own, ...(await this.#standInParts(played))];
  }

  async #ownPart({ service, place }: Placed): Promise<Part> {
    const { network, onStart, credentialsOf } = this.#options;
    const { name, run } = service;
    if (run === undefined) throw new TypeError(`${name} has no command`);
    const dataDirectory = await this.#makeDataDirectory(name);
    const env = this.#environmentOf(dataDirectory, {
      DATA_DIR: dataDirectory,
      ...run.env,
      ...addressesOf(place),
      ...credentialsOf(service),
    });
    const passage = await this.#passageTo(run.command, run.directory, env);
    const spec: ChildSpec = {
      name,
      command: network.inside(name, run.command, { port: place.app.port, passage }),
      directory: run.directory,
      env,
      listens: place.app,
      logPath: this.#logPath(name),
      onStart,
    };
    return { spec, config: undefined, services: [name] };
  }

  /** A process per namespace; without namespaces one plays all. */
  async #standInParts(played: readonly Placed[]): Promise<Part[]> {
    const troupes = this.#hasNamespaces
      ? played.map(each => ({ name: each.service.name, members: [each] }))
      : [{ name: 'stand-ins', members: played }];
    const parts = await Promise.all(
      troupes.map(async ({ name, members }) => this.#standInPart(name, members)),
    );
    return parts.filter(part => part !== undefined);
  }

  async #standInPart(name: string, members: readonly Placed[]): Promise<Part | undefined> {
    const { network, onStart } = this.#options;
    const [first] = members;
    if (first === undefined) return undefined;
    const command = [process.execPath, '--disable-warning=ExperimentalWarning', standInProgram()] as const;
    const dataDirectory = dataDirectoryOf(this.#options.stateDirectory, name);
    // Compiled code is trusted: a service keeps its own.
    const cache = this.#hasNamespaces ? join(dataDirectory, 'compiled') : COMPILE_CACHE;
    const env = this.#environmentOf(dataDirectory, { NODE_COMPILE_CACHE: cache });
    const passage = await this.#passageTo(command, '/', env);
    const spec: ChildSpec = {
      name,
      command: network.inside(first.service.name, [...command], {
        port: first.place.app.port,
        passage,
      }),
      directory: '/',
      env,
      listens: first.place.app,
      logPath: this.#logPath(name),
      onStart,
    };
    const config = { services: members.map(({ service, place }) => standInService(service, place)) };
    return { spec, config, services: members.map(({ service }) => service.name) };
  }

  get #hasNamespaces(): boolean {
    return this.#options.network.status.kind === 'enforced';
  }

  /** With namespaces it exists, and belongs to the service, since the service has joined the network. */
  async #makeDataDirectory(service: string): Promise<string> {
    const path = dataDirectoryOf(this.#options.stateDirectory, service);
    if (!this.#hasNamespaces) await mkdir(path, { recursive: true, mode: 0o700 });
    return path;
  }

  /** A user of its own has no use for the home of ours. */
  #environmentOf(dataDirectory: string, declared: Readonly<Record<string, string>>): Record<string, string> {
    const { environment } = this.#options;
    const outer = this.#hasNamespaces
      ? { ...environment, HOME: dataDirectory, USER: undefined }
      : environment;
    return childEnvironment(outer, declared, PROGRAM_DIRECTORY);
  }

  /** How a service's own user gets to its program; said when it is not by itself. */
  async #passageTo(
    command: readonly string[],
    directory: string,
    env: Readonly<Record<string, string>>,
  ): Promise<Passage> {
    if (!this.#hasNamespaces) return { kind: 'open' };
    const { stateDirectory } = this.#options;
    const path = env['PATH'] ?? '';
    const barriers = await findProgramBarriers({ command, directory, path, stateDirectory });
    const key = JSON.stringify(barriers);
    const known = this.#passages.get(key);
    if (known !== undefined) return known;
    const passage = this.#findPassage(barriers);
    this.#passages.set(key, passage);
    return passage;
  }

  async #findPassage(barriers: readonly string[]): Promise<Passage> {
    const passage = await findPassage(barriers);
    const shut = `${barriers.join(' and ')} ${barriers.length === 1 ? 'is' : 'are'} shut to other users`;
    if (passage.kind === 'view') this.#options.note(`${shut}: services behind it see it as open`);
    if (passage.kind === 'reads-all-files')
      this.#options.note(`${shut}: services behind it run with the right to read all files`);
    return passage;
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
