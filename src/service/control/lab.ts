import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import { SchemaError } from '#base/schema';
import type { Bundle } from '#domain/bundle';
import type { Placement, ServicePlacement } from '#domain/compile';
import type { Model } from '#domain/model';
import type { Journal, JournalBatch } from '#service/ledger';
import {
  startPoint,
  type Identities,
  type Point,
  type PointConfig,
  type PointHost,
  type PointOptions,
} from '#service/point';
import type { Control } from './control.ts';
import type { PointName } from './join-tokens.ts';
import type { Placer, RecordKeeper, ServiceChanges } from './ports.ts';
import { startControl, type ControlOptions } from './start-control.ts';

/** A control plane and points in one process, for tests. What stands around them is fake; what is between them is real. */
export class Lab {
  readonly directory: string;
  readonly placer = new FakePlacer();
  readonly keeper = new FakeKeeper();
  readonly #points: Point[] = [];
  #control: Control | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async open(t: TestContext): Promise<Lab> {
    const lab = new Lab(await mkdtemp(join(tmpdir(), 'rw-lab-')));
    t.after(async () => {
      await lab.close();
      await rm(lab.directory, { recursive: true, force: true });
    });
    return lab;
  }

  get stateDir(): string {
    return join(this.directory, 'state');
  }

  get control(): Control {
    if (this.#control === undefined) throw new TypeError('control does not run');
    return this.#control;
  }

  async startControl(options: Partial<ControlOptions> = {}): Promise<Control> {
    this.#control = await startControl({
      stateDir: this.stateDir,
      trustDomain: 'a.test',
      listen: { host: '127.0.0.1', port: 0 },
      placer: this.placer,
      keeper: this.keeper,
      clock: systemClock,
      log: silentLog,
      ...options,
    });
    return this.#control;
  }

  async stopControl(): Promise<void> {
    await this.#control?.close();
    this.#control = undefined;
  }

  configOf(point: PointName, joinToken = this.control.createJoinToken(point)): PointConfig {
    return {
      name: point.name,
      control: { ...this.control.address },
      trustAnchors: [...this.control.trustAnchors],
      joinToken,
      stateDir: join(this.directory, point.name),
    };
  }

  /** Starts a point, with a fake host and journal unless others are given. */
  async startPoint(
    point: PointName,
    options: Partial<PointOptions> = {},
  ): Promise<{ point: Point; host: FakeHost; journal: FakeJournal }> {
    const host = new FakeHost();
    const journal = new FakeJournal(point.name);
    const started = await startPoint({
      config: options.config ?? this.configOf(point),
      journal,
      host,
      clock: systemClock,
      log: silentLog,
      ...options,
    });
    this.#points.push(started);
    return { point: started, host, journal };
  }

  async close(): Promise<void> {
    await Promise.all(this.#points.map(point => point.close()));
    await this.stopControl();
  }
}

/** A model of services in a row, each calling the next; the edge leads to the first. */
export function modelOf(services: number, more = ''): string {
  const lines = [
    'apiVersion: ringwall.dev/v1',
    'system: lab',
    'trustDomain: a.test',
    'edge:',
    '  hosts:',
    '    shop.a.test:',
  ];
  lines.push(
    '      - { path: /, methods: [GET], to: s0, clients: [anonymous], limits: [20/s per client] }',
    'services:',
  );
  for (let i = 0; i < services; i++) {
    lines.push(`  s${i}:`, '    data: internal', '    listen: http 8080');
    if (i + 1 < services) lines.push('    calls:', `      s${i + 1}: [GET /items/*]`);
  }
  return `${lines.join('\n')}\n${more}`;
}

export const sourceOf = (text: string) => ({ file: 'ringwall.yaml', directory: '/srv', text });

/** Places services on one agent, or each on an agent of its own. Nothing listens at the addresses. */
export class FakePlacer implements Placer {
  agents: 'one' | 'each' = 'one';
  fault: Error | undefined;
  /** Called instead of starting anything. */
  onStart: () => Promise<void> = () => Promise.resolve();
  settleFault: Error | undefined;
  /** The models that it was told are in force. */
  readonly settled: Model[] = [];
  readonly #ports = new Map<string, number>();

  start(): Promise<void> {
    return this.onStart();
  }

  settle(inForce: Model): Promise<ServiceChanges> {
    this.settled.push(inForce);
    if (this.settleFault !== undefined) return Promise.reject(this.settleFault);
    return Promise.resolve({ started: [], restarted: [], ended: [], faults: [] });
  }

  place(model: Model): Promise<Placement> {
    if (this.fault !== undefined) return Promise.reject(this.fault);
    const names = [...model.services.keys()];
    const agents =
      this.agents === 'one'
        ? [{ name: 'agent', admin: this.#address('agent admin'), services: names }]
        : names.map(name => ({
            name: `agent-${name}`,
            admin: this.#address(`${name} admin`),
            services: [name],
          }));
    const services = new Map<string, ServicePlacement>();
    for (const [name, service] of model.services) {
      services.set(name, {
        inbound: this.#address(`${name} inbound`),
        app: this.#address(`${name} app`),
        outbound: new Map(
          service.calls.map(callee => [callee.service, this.#address(`${name} to ${callee.service}`)]),
        ),
        egress: new Map(service.egress.map(({ origin }) => [origin, this.#address(`${name} to ${origin}`)])),
      });
    }
    const gateway = { name: 'gateway', listen: this.#address('edge'), admin: this.#address('gateway admin') };
    return Promise.resolve({ gateway, agents, services });
  }

  #address(what: string): { host: string; port: number } {
    const port = this.#ports.get(what) ?? 20_000 + this.#ports.size;
    this.#ports.set(what, port);
    return { host: '127.0.0.1', port };
  }
}

export class FakeKeeper implements RecordKeeper {
  /** Of points. */
  readonly batches: JournalBatch[] = [];
  /** Records of what operators had done. */
  readonly operations: string[] = [];
  fault: Error | undefined;

  get lines(): string[] {
    return this.batches.flatMap(({ lines }) => lines);
  }

  appendBatch(batch: JournalBatch): Promise<number> {
    if (this.fault !== undefined) return Promise.reject(this.fault);
    if (batch.point === 'control') this.operations.push(...batch.lines);
    else this.batches.push(batch);
    return Promise.resolve(batch.firstSeq + batch.lines.length - 1);
  }

  search(query: Readonly<Record<string, string>>): Promise<unknown> {
    if ('table' in query) return Promise.reject(new SchemaError('wrong-shape', 'query has an unknown key'));
    return Promise.resolve({ query, records: this.lines });
  }

  find(id: string): Promise<unknown> {
    return Promise.resolve(this.lines.includes(id) ? { records: [id] } : undefined);
  }

  prove(id: string): Promise<unknown> {
    return Promise.resolve(this.lines.includes(id) ? { proof: 'proof' } : undefined);
  }

  checkpoint(): Promise<string> {
    return Promise.resolve('lab\n0\n');
  }
}

/** A journal in memory. */
export class FakeJournal implements Journal {
  readonly #point: string;
  readonly #lines: string[] = [];
  readonly #listeners = new Set<() => void>();
  oldestSeq = 1;
  healthy = true;
  readonly dropped = 0;

  constructor(point: string) {
    this.#point = point;
  }

  get nextSeq(): number {
    return this.#lines.length + 1;
  }

  write(...lines: string[]): void {
    this.#lines.push(...lines);
    for (const listener of this.#listeners) listener();
  }

  append(): void {
    throw new TypeError('the fake takes lines');
  }

  readFrom(seq: number, maxRecords: number): Promise<JournalBatch> {
    const firstSeq = Math.max(seq, this.oldestSeq);
    const lines = this.#lines.slice(firstSeq - 1, firstSeq - 1 + maxRecords);
    return Promise.resolve({ point: this.#point, epoch: 'e1', firstSeq, lines });
  }

  acknowledge(seq: number): void {
    this.oldestSeq = Math.max(this.oldestSeq, seq + 1);
  }

  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Remembers what was put in force. */
export class FakeHost implements PointHost {
  readonly applied: Bundle[] = [];
  identities: Identities | undefined;
  changes = 0;
  fault: Error | undefined;
  /** Awaited before a bundle counts as in force. */
  gate: Promise<void> = Promise.resolve();

  get bundle(): Bundle | undefined {
    return this.applied.at(-1);
  }

  async apply(bundle: Bundle, identities: Identities): Promise<void> {
    await this.gate;
    if (this.fault !== undefined) throw this.fault;
    this.identities = identities;
    this.applied.push(bundle);
  }

  identitiesChanged(): void {
    this.changes += 1;
  }
}

/** Polls until `condition` gives something other than `undefined` or `false`. */
export async function until<T>(condition: () => T | undefined | false, timeoutMs = 5000): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadlineMs) throw new Error('it did not come to that in time');
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
