import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import type { Placement } from '#domain/compile';
import type { Model } from '#domain/model';
import { isListening, startChild, type Child } from '#service/supervise';
import type { Part, ServiceParts } from './service-parts.ts';
import { UpError } from './up-error.ts';

export type ServiceRunnerOptions = {
  readonly parts: ServiceParts;
  readonly clock: Clock;
  readonly log: Log;
};

/** Services that were started, and what is waited for. */
export type Start = {
  readonly name: string;
  readonly services: readonly string[];
  /** @throws {CodedError} when they do not listen in time, or end before */
  ready(withinMs: number): Promise<void>;
  /** Gives up waiting. */
  stop(): Promise<void>;
};

type Running = { readonly child: Child; part: Part };

const POLL_MS = 20;

/** Runs the processes of a model's services. */
export class ServiceRunner {
  readonly #options: ServiceRunnerOptions;
  readonly #running = new Map<string, Running>();
  #isEnded = false;

  constructor(options: ServiceRunnerOptions) {
    this.#options = options;
  }

  /** The services that have a process. */
  get services(): ReadonlySet<string> {
    return new Set([...this.#running.values()].flatMap(({ part }) => part.services));
  }

  /** The process that a service runs in, and whether it is a stand-in. */
  processOf(service: string): { readonly pid: number | undefined; readonly isStandIn: boolean } | undefined {
    for (const { child, part } of this.#running.values()) {
      if (part.services.includes(service)) return { pid: child.pid, isStandIn: part.config !== undefined };
    }
    return undefined;
  }

  /** Starts the services of `model` that have no process, and touches no other. */
  async add(model: Model, placement: Placement): Promise<Start[]> {
    const known = this.services;
    const parts = await this.#options.parts.of(model, placement);
    return parts.flatMap(part => {
      const newcomers = part.services.filter(service => !known.has(service));
      if (newcomers.length === 0) return [];
      const running = this.#running.get(part.spec.name);
      if (running === undefined) return [this.#start(onlyWith(part, newcomers))];
      this.#renew(running, widened(running.part, onlyWith(part, newcomers)));
      return [whenPlayed(part, newcomers, placement)];
    });
  }

  /** Starts what is new, starts anew what has changed, ends what is gone. */
  async run(model: Model, placement: Placement): Promise<Start[]> {
    const parts = new Map(
      (await this.#options.parts.of(model, placement)).map(part => [part.spec.name, part]),
    );
    const outdated = [...this.#running.values()].filter(({ child, part }) => {
      const wanted = parts.get(part.spec.name);
      return wanted === undefined || child.state === 'stopped' || !canStay(part, wanted);
    });
    for (const { part } of outdated) this.#running.delete(part.spec.name);
    const stopped = outdated.map(({ child, part }) => ({ services: part.services, done: child.stop() }));
    /** One at a time has the port of a service. */
    const isFree = async ({ services }: Part): Promise<void> => {
      const former = stopped.filter(each => each.services.some(service => services.includes(service)));
      await Promise.all(former.map(({ done }) => done));
    };
    const started = await Promise.all(
      [...parts].map(async ([name, part]) => {
        await isFree(part);
        const running = this.#running.get(name);
        if (running === undefined) return [this.#start(part)];
        this.#renew(running, part);
        return [];
      }),
    );
    await Promise.all(stopped.map(({ done }) => done));
    return started.flat();
  }

  /** Ends all; none starts any more. */
  async stop(): Promise<void> {
    this.#isEnded = true;
    await Promise.all([...this.#running.values()].map(async ({ child }) => child.stop()));
    this.#running.clear();
  }

  #start(part: Part): Start {
    if (this.#isEnded) throw new UpError('interrupted', 'the system is being taken down');
    const { clock, log } = this.#options;
    const { name } = part.spec;
    // A stand-in that crashed plays what is wanted of it by then.
    const config = () => JSON.stringify((this.#running.get(name)?.part ?? part).config);
    const input = part.config === undefined ? {} : { input: config };
    const child = startChild({ ...part.spec, ...input }, { clock, log });
    this.#running.set(name, { child, part });
    return {
      name,
      services: part.services,
      ready: withinMs => child.ready(withinMs),
      stop: () => child.stop(),
    };
  }

  #renew(running: Running, part: Part): void {
    const before = JSON.stringify(running.part.config);
    const after = JSON.stringify(part.config);
    // What it was told when it started is what it knows.
    running.part = { ...part, spec: running.part.spec, addresses: running.part.addresses };
    if (after !== undefined && after !== before) running.child.send(after);
  }
}

/** Whether the process of `running` does for `wanted`; addresses that it does not need any more do no harm. */
function canStay(running: Part, wanted: Part): boolean {
  const { addresses } = wanted;
  const knows = Object.entries(addresses).every(([name, value]) => running.addresses[name] === value);
  return knows && signatureOf(running) === signatureOf(wanted);
}

/** What a change of forces a new process. A stand-in's part can change while it runs, its address cannot. */
function signatureOf({ addresses, config, spec }: Part): string {
  const { command, directory, env, listens } = spec;
  const own = Object.entries(env).filter(([name]) => !(name in addresses));
  return JSON.stringify({ command, directory, own, listens: config === undefined ? listens : null });
}

function onlyWith(part: Part, services: readonly string[]): Part {
  const config = part.config && {
    services: part.config.services.filter(({ name }) => services.includes(name)),
  };
  const listens = config?.services[0]?.listen ?? part.spec.listens;
  return { ...part, services, config, spec: { ...part.spec, ...(listens !== undefined && { listens }) } };
}

function widened(running: Part, more: Part): Part {
  return {
    ...running,
    services: [...running.services, ...more.services],
    config: { services: [...(running.config?.services ?? []), ...(more.config?.services ?? [])] },
  };
}

/** Stand-ins in a process that runs already. */
function whenPlayed(part: Part, services: readonly string[], placement: Placement): Start {
  const wait = new AbortController();
  const waitFor = async (service: string, endMs: number): Promise<void> => {
    const { host, port } = placement.services.get(service)?.app ?? { host: '', port: 0 };
    while (!(await isListening(host, port, POLL_MS * 10))) {
      if (wait.signal.aborted || performance.now() > endMs) {
        throw new UpError('no-answer', `the stand-in of \`${service}\` does not listen on ${host}:${port}`);
      }
      await new Promise(resolve => setTimeout(resolve, POLL_MS));
    }
  };
  return {
    name: part.spec.name,
    services,
    ready: async withinMs => {
      const endMs = performance.now() + withinMs;
      await Promise.all(services.map(async service => waitFor(service, endMs)));
    },
    stop: () => Promise.resolve(wait.abort()),
  };
}
