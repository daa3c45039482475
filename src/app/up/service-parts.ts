import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Placement, ServicePlacement } from '#domain/compile';
import type { Model, Service } from '#domain/model';
import { dataDirectoryOf, findPassage, type Network, type Passage } from '#service/network';
import { standInProgram, standInService, type StandInConfig } from '#service/stand-in';
import { childEnvironment, type ChildSpec } from '#service/supervise';
import { findProgramBarriers } from './find-program-barriers.ts';
import { addressVariables } from './service-variables.ts';

export type ServicePartsOptions = {
  readonly network: Network;
  /** Play services without `run:`. */
  readonly standIns: boolean;
  readonly stateDirectory: string;
  readonly logDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What a service is told of the local issuer, where it may reach it. */
  readonly issuerVariables: (service: Service, place: ServicePlacement) => Readonly<Record<string, string>>;
  readonly onStart: (pid: number) => void;
  /** Told what people should know. */
  readonly note: (text: string) => void;
};

/** A process to be: a service, or stand-ins of services. */
export type Part = {
  readonly spec: ChildSpec;
  /** Where its services reach others; part of its environment. */
  readonly addresses: Readonly<Record<string, string>>;
  /** Of stand-ins: can be changed while they run. */
  readonly config: StandInConfig | undefined;
  readonly services: readonly string[];
};

type Placed = { readonly service: Service; readonly place: ServicePlacement };

const PROGRAM_DIRECTORY = dirname(process.execPath);
const COMPILE_CACHE = fileURLToPath(new URL('../../../node_modules/.cache/ringwall', import.meta.url));

/** Makes processes of a model's services: what is run, as whom, with which environment. */
export class ServiceParts {
  readonly #options: ServicePartsOptions;
  readonly #passages = new Map<string, Promise<Passage>>();

  constructor(options: ServicePartsOptions) {
    this.#options = options;
  }

  async of(model: Model, placement: Placement): Promise<Part[]> {
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
    const { network, onStart, issuerVariables } = this.#options;
    const { name, run } = service;
    if (run === undefined) throw new TypeError(`${name} has no command`);
    const dataDirectory = await this.#makeDataDirectory(name);
    const addresses = { ...addressVariables(place), ...issuerVariables(service, place) };
    const { app } = place;
    const env = this.#environmentOf(dataDirectory, {
      DATA_DIR: dataDirectory,
      ...run.env,
      HOST: app.host,
      PORT: String(app.port),
      ...addresses,
    });
    const passage = await this.#passageTo(run.command, run.directory, env);
    const spec: ChildSpec = {
      name,
      command: network.inside(name, run.command, { port: app.port, passage }),
      directory: run.directory,
      env,
      listens: app,
      logPath: this.#logPath(name),
      onStart,
    };
    return { spec, addresses, config: undefined, services: [name] };
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
    return { spec, addresses: {}, config, services: members.map(({ service }) => service.name) };
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
