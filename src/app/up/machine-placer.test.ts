import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServicePlacement } from '#domain/compile';
import { parseModel, type Model, type Service } from '#domain/model';
import type { Ends, Network, PortBook } from '#service/network';
import { MachinePlacer } from './machine-placer.ts';

const FRONT = `
  front:
    data: internal
    listen: http 8080
    calls:
      catalog: [GET /products]
    egress: [https://bank.example]`;
const CATALOG = '\n  catalog: { data: internal, listen: http 8080 }';
const DB = '\n  db: { data: internal, listen: tcp 5432 }';

test('place() gives every listener of the system an address of its own', async () => {
  const { placer } = lab('loopback');
  const { gateway, agents, services } = await placer.place(modelOf(FRONT + CATALOG + DB));
  const addresses = [
    gateway.listen,
    gateway.admin,
    ...agents.map(({ admin }) => admin),
    ...[...services.values()].flatMap(({ inbound, app, outbound, egress }) => [
      inbound,
      app,
      ...outbound.values(),
      ...egress.values(),
    ]),
  ];
  assert.equal(new Set(addresses.map(({ host, port }) => `${host}:${port}`)).size, addresses.length);
  assert.ok(addresses.every(({ host }) => host === '127.0.0.1'));
  assert.deepEqual(agents[0]?.services, ['front', 'catalog', 'db']);
});

test('place() keeps a service on a shared loopback at its own port, if no other wants it', async () => {
  const { placer } = lab('loopback');
  const { services } = await placer.place(modelOf(FRONT + CATALOG + DB));
  assert.equal(services.get('db')?.app.port, 5432);
  assert.notEqual(services.get('front')?.app.port, services.get('catalog')?.app.port);
});

test('place() puts a service and its listeners on the two ends of its link', async () => {
  const { placer } = lab('namespaces');
  const { services } = await placer.place(modelOf(FRONT + CATALOG));
  const front = services.get('front') ?? assert.fail();
  assert.deepEqual(front.app, { host: '10.0.0.2', port: 8080 });
  assert.deepEqual(services.get('catalog')?.app, { host: '10.0.1.2', port: 8080 });
  assert.equal(front.outbound.get('catalog')?.host, '10.0.0.1');
  assert.equal(front.egress.get('https://bank.example')?.host, '10.0.0.1');
  assert.equal(front.inbound.host, '127.0.0.1');
});

test('place() expects a service that is not started here on loopback, at the port of the model', async () => {
  const { placer, network } = lab('namespaces', service => service.name !== 'catalog');
  const { services } = await placer.place(modelOf(FRONT + CATALOG));
  assert.deepEqual(services.get('catalog')?.app, { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(network.joined, ['front']);
});

test('place() takes the port of the edge from the command line before the model', async () => {
  const { placer } = lab('loopback', () => true, 9999);
  assert.equal((await placer.place(modelOf(FRONT + CATALOG))).gateway.listen.port, 9999);
});

test('place() keeps what is placed where it is', async () => {
  const { placer } = lab('namespaces');
  const before = await placer.place(modelOf(FRONT + CATALOG));
  const after = await placer.place(modelOf(DB + FRONT + CATALOG));
  for (const name of ['front', 'catalog'])
    assert.deepEqual(after.services.get(name), before.services.get(name));
});

test('place() lets through the old calls and the new ones while points change over', async () => {
  const { placer, network } = lab('namespaces');
  await placer.place(modelOf(FRONT + CATALOG + DB));
  await placer.place(modelOf(FRONT.replace('catalog: [GET /products]', 'db: [connect]') + CATALOG + DB));
  assert.deepEqual([...(network.enforced?.get('front')?.outbound.keys() ?? [])], ['catalog', 'db']);
});

test('place() leaves open what is gone, and a service where it is, until settle()', async () => {
  const { placer, network } = lab('namespaces');
  await placer.place(modelOf(FRONT + CATALOG + DB));
  const smaller = modelOf(FRONT + CATALOG.replace('8080', '9090'));
  const placement = await placer.place(smaller);
  assert.equal(placement.services.get('catalog')?.app.port, 9090);
  assert.deepEqual([...(network.enforced?.keys() ?? [])], ['front', 'catalog', 'db']);
  assert.equal(network.enforced?.get('catalog')?.app.port, 8080);
  assert.deepEqual(network.left, []);
  await placer.settle(smaller, placement);
  assert.deepEqual([...(network.enforced?.keys() ?? [])], ['front', 'catalog']);
  assert.equal(network.enforced?.get('catalog')?.app.port, 9090);
  assert.deepEqual(network.left, ['db']);
});

test('settle() on the former model takes back what place() has added', async () => {
  const { placer, network } = lab('namespaces');
  const small = modelOf(FRONT + CATALOG);
  const placement = await placer.place(small);
  await placer.settle(small, placement);
  await placer.place(modelOf(FRONT + CATALOG + DB));
  assert.equal(placer.ends.has('db'), true);
  await placer.settle(small, placement);
  assert.deepEqual([...(network.enforced?.keys() ?? [])], ['front', 'catalog']);
  assert.deepEqual(network.left, ['db']);
  assert.equal(placer.ends.has('db'), false);
});

test('settle() lets a service go that runs by itself from now on', async () => {
  let isStarted = true;
  const { placer, network } = lab('namespaces', ({ name }) => name !== 'catalog' || isStarted);
  const model = modelOf(FRONT + CATALOG);
  await placer.settle(model, await placer.place(model));
  isStarted = false;
  const placement = await placer.place(model);
  assert.deepEqual(placement.services.get('catalog')?.app, { host: '127.0.0.1', port: 8080 });
  await placer.settle(model, placement);
  assert.deepEqual(network.left, ['catalog']);
});

test('place() that finds no port lets nothing new through', async () => {
  const { placer, network, ports } = lab('loopback');
  ports.fault = new Error('no port');
  await assert.rejects(placer.place(modelOf(FRONT + CATALOG)));
  assert.equal(network.enforced, undefined);
});

function lab(
  kind: 'loopback' | 'namespaces',
  isStarted: (service: Service) => boolean = () => true,
  edgePort?: number,
) {
  const network = new FakeNetwork(kind);
  const ports = new FakePorts();
  const placer = new MachinePlacer({ network, ports, edgePort, isStarted });
  return { placer, network, ports };
}

class FakeNetwork implements Network {
  readonly status = { kind: 'enforced' } as const;
  readonly joined: string[] = [];
  readonly left: string[] = [];
  enforced: ReadonlyMap<string, ServicePlacement> | undefined;
  readonly #kind: 'loopback' | 'namespaces';

  constructor(kind: 'loopback' | 'namespaces') {
    this.#kind = kind;
  }

  join(services: readonly string[]): Promise<ReadonlyMap<string, Ends>> {
    for (const name of services) if (!this.joined.includes(name)) this.joined.push(name);
    return Promise.resolve(new Map(services.map(name => [name, this.#endsOf(name)])));
  }

  enforce(placements: ReadonlyMap<string, ServicePlacement>): Promise<void> {
    this.enforced = placements;
    return Promise.resolve();
  }

  leave(services: readonly string[]): Promise<void> {
    this.left.push(...services);
    return Promise.resolve();
  }

  inside(_service: string, command: readonly [string, ...string[]]): [string, ...string[]] {
    return [...command];
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #endsOf(name: string): Ends {
    if (this.#kind === 'loopback')
      return { agentHost: '127.0.0.1', serviceHost: '127.0.0.1', namespace: undefined };
    const link = this.joined.indexOf(name);
    return { agentHost: `10.0.${link}.1`, serviceHost: `10.0.${link}.2`, namespace: `ns-${name}` };
  }
}

class FakePorts implements PortBook {
  fault: Error | undefined;
  readonly #ports = new Map<string, number>();

  assign(
    purposes: readonly string[],
    preferred?: ReadonlyMap<string, number>,
  ): Promise<ReadonlyMap<string, number>> {
    if (this.fault !== undefined) return Promise.reject(this.fault);
    for (const purpose of purposes) {
      if (!this.#ports.has(purpose))
        this.#ports.set(purpose, preferred?.get(purpose) ?? 20_000 + this.#ports.size);
    }
    return Promise.resolve(new Map(purposes.map(purpose => [purpose, this.#ports.get(purpose) ?? 0])));
  }
}

function modelOf(services: string): Model {
  const text = `apiVersion: ringwall.dev/v1\nsystem: tiny\ntrustDomain: tiny.internal\nservices:${services}\n`;
  const parsed = parseModel({ file: 'm.yaml', directory: '/', text });
  assert.equal(parsed.kind, 'model', JSON.stringify(parsed));
  return parsed.model;
}
