import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer, connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import type { ServicePlacement } from '#domain/compile';
import { networkId, openNetwork, type Ends, type Network } from '#service/network';
import { formatRange, freeRanges, linkAddresses } from './address-range.ts';
import { commandInside } from './command-inside.ts';
import { NetworkError } from './network.ts';
import { runTool } from './run-tool.ts';

const APP_PORT = 8080;
const SERVICES = ['front', 'catalog', 'cart', 'pay'] as const;
/** Who may call whom: the only pairs of the twelve that may pass. */
const CALLS: Readonly<Record<string, readonly string[]>> = { front: ['catalog', 'cart'], cart: ['pay'] };

/** Tries to break out; says what it managed. */
const ESCAPE = `
  nft flush ruleset 2>/dev/null && printf 'flushed '
  nsenter --net=/run/netns/"$1" true 2>/dev/null && printf 'entered '
  nsenter --net=/proc/"$3"/ns/net true 2>/dev/null && printf 'escaped '
  unshare --mount mount -t tmpfs none "$2" 2>/dev/null && printf 'covered '
  echo done`;

const directory = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-network-')));
const probe = await openNetwork({ stateDirectory: directory });
const skip = probe.status.kind === 'enforced' ? false : `no network ring here: ${probe.status.why}`;
await probe.close();
after(() => rm(directory, { recursive: true, force: true }));

describe('network of four services', { skip }, () => {
  let network: Network;
  let ends: ReadonlyMap<string, Ends>;
  let listeners: Server[] = [];
  const processes: ChildProcess[] = [];

  before(async () => {
    network = await openNetwork({ stateDirectory: directory });
    ends = await network.join(SERVICES);
    await network.enforce(placements(ends));
    listeners = await Promise.all(
      SERVICES.flatMap(name => portsOf(name).map(port => listen(endsOf(ends, name).agentHost, port))),
    );
    // Something of the host's own that listens on every address, as a database on the same machine would.
    listeners.push(await listen('0.0.0.0', 0));
    for (const name of SERVICES) processes.push(await startApp(network, name));
  });

  after(async () => {
    for (const server of listeners) server.close();
    await network.close();
  });

  test('the agent reaches every service on its port (positive control)', async () => {
    for (const name of SERVICES) {
      assert.equal(await connects(endsOf(ends, name).serviceHost, APP_PORT), true, name);
    }
  });

  test('the agent does not reach another port of a service', async () => {
    assert.equal(await connects(endsOf(ends, 'front').serviceHost, APP_PORT + 1), false);
  });

  test('of the twelve pairs exactly the declared ones pass', async () => {
    const declared = SERVICES.flatMap(from => (CALLS[from] ?? []).map(to => `${from} -> ${to}`));
    const passed = await Promise.all(
      SERVICES.map(async from => {
        const others = SERVICES.filter(to => to !== from);
        const targets = others.map(to => ({ host: endsOf(ends, from).agentHost, port: portFor(from, to) }));
        const reached = await reachedFrom(network, from, targets);
        return others.filter((_, index) => reached[index]).map(to => `${from} -> ${to}`);
      }),
    );
    assert.deepEqual(passed.flat(), declared);
  });

  test('no service reaches the port of another, listeners of another, or the host', async () => {
    const open = listeners.at(-1)?.address();
    assert.ok(open !== null && typeof open === 'object');
    const results = await Promise.all(
      SERVICES.map(async from => {
        const targets = SERVICES.filter(to => to !== from).flatMap(to => [
          { host: endsOf(ends, to).serviceHost, port: APP_PORT },
          ...portsOf(to).map(port => ({ host: endsOf(ends, to).agentHost, port })),
        ]);
        targets.push(
          { host: endsOf(ends, from).agentHost, port: open.port },
          { host: '192.0.2.1', port: 80 },
        );
        return reachedFrom(network, from, targets);
      }),
    );
    assert.deepEqual(new Set(results.flat()), new Set([false]));
  });

  test('a service can neither remove its rules nor enter another namespace', async () => {
    const neighbour = endsOf(ends, 'pay').namespace ?? '';
    const escape: [string, ...string[]] = [
      'sh',
      '-c',
      ESCAPE,
      'sh',
      neighbour,
      directory,
      String(process.pid),
    ];
    const lab = endsOf(await network.join(['lab']), 'lab').namespace ?? '';
    const [file, ...args] = ['nsenter', `--net=/run/netns/${lab}`, ...escape] as [string, ...string[]];
    const free = await promisify(execFile)(file, args);
    // Positive control: root with its capabilities does all of it.
    assert.equal(free.stdout, 'flushed entered escaped covered done\n');
    await network.leave(['lab']);
    assert.equal(await runInside(network, 'front', escape), 'done\n');
  });

  test('a service does not see the state directory', async () => {
    await writeFile(join(directory, 'secret'), 'x');
    await assert.rejects(runInside(network, 'front', ['cat', join(directory, 'secret')]), /No such file/);
    await assert.rejects(runInside(network, 'front', ['ls', directory]), /Permission denied/);
  });

  test('a service has no IPv6', async () => {
    assert.equal(await runInside(network, 'front', ['sh', '-c', 'cat /proc/net/if_inet6']), '');
  });

  test('enforce() opens a new call and closes an old one while a connection of a third goes on', async () => {
    const kept = connect({ host: endsOf(ends, 'cart').serviceHost, port: APP_PORT });
    await once(kept, 'connect');
    const changed = new Map(placements(ends));
    const front = changed.get('front') ?? assert.fail();
    changed.set('front', {
      ...front,
      outbound: new Map([['pay', { host: endsOf(ends, 'front').agentHost, port: portFor('front', 'pay') }]]),
    });
    await network.enforce(changed);
    const host = endsOf(ends, 'front').agentHost;
    const targets = (['catalog', 'pay'] as const).map(to => ({ host, port: portFor('front', to) }));
    assert.deepEqual(await reachedFrom(network, 'front', targets), [false, true]);
    kept.write('still');
    assert.equal(String((await once(kept, 'data'))[0]), 'still');
    kept.destroy();
    await network.enforce(placements(ends));
  });

  test('a service that joins is closed until it is enforced, and leaves with its processes', async () => {
    const mail = endsOf(await network.join(['mail']), 'mail');
    const child = await startApp(network, 'mail');
    assert.equal(await connects(mail.serviceHost, APP_PORT), false);
    const place = placementOf('mail', mail);
    await network.enforce(new Map([...placements(ends), ['mail', place]]));
    assert.equal(await connects(mail.serviceHost, APP_PORT), true);
    const exited = once(child, 'exit');
    await network.leave(['mail']);
    await exited;
    assert.ok(!(await runTool('ip', ['netns', 'list'])).includes(mail.namespace ?? ''));
    await network.enforce(placements(ends));
  });
});

test('close() leaves no namespace, link, rule, route or process', { skip }, async () => {
  const network = await openNetwork({ stateDirectory: directory });
  await network.join(SERVICES);
  const child = await startApp(network, 'front');
  const exited = once(child, 'exit');
  const range = await claimedRange();
  // Four namespaces, four links, a table and a route (positive control).
  assert.equal((await remains(range)).length, 10);
  await network.close();
  await exited;
  assert.deepEqual(await remains(range), []);
});

test('openNetwork() removes what a crashed run with the same state directory left', { skip }, async () => {
  const crashed = await openNetwork({ stateDirectory: directory });
  await crashed.join(SERVICES);
  const child = await startApp(crashed, 'front');
  const exited = once(child, 'exit');
  const range = await claimedRange();
  const next = await openNetwork({ stateDirectory: directory, refusedBecause: 'not wanted' });
  await exited;
  assert.deepEqual(next.status, { kind: 'not-enforced', why: 'not wanted' });
  assert.deepEqual(await remains(range), []);
});

test('two systems at once use different addresses and leave each other alone', { skip }, async () => {
  const other = await realpath(await mkdtemp(join(tmpdir(), 'ringwall-network-')));
  const [a, b] = await Promise.all([
    openNetwork({ stateDirectory: directory }),
    openNetwork({ stateDirectory: other }),
  ]);
  const [first, second] = await Promise.all([a.join(['front']), b.join(['front'])]);
  assert.notEqual(endsOf(first, 'front').serviceHost, endsOf(second, 'front').serviceHost);
  await a.close();
  assert.deepEqual(await remains(), []);
  assert.match(await runTool('ip', ['netns', 'list']), new RegExp(endsOf(second, 'front').namespace ?? ''));
  await b.close();
  await rm(other, { recursive: true });
});

test('openNetwork() says which tool is missing and enforces nothing', { skip }, async () => {
  const network = await openNetwork({
    stateDirectory: directory,
    run: async (command, args, input) => {
      if (command === 'nft') throw new NetworkError('tool-failed', 'absent');
      return runTool(command, args, input);
    },
  });
  assert.deepEqual(network.status, {
    kind: 'not-enforced',
    why: '`nft` is not installed (package nftables)',
  });
  assert.deepEqual(network.inside('x', ['node', 'x.js']), ['node', 'x.js']);
  assert.deepEqual((await network.join(['x'])).get('x'), {
    agentHost: '127.0.0.1',
    serviceHost: '127.0.0.1',
    namespace: undefined,
  });
});

test('openNetwork() says so when the machine forbids namespaces', { skip }, async () => {
  const network = await openNetwork({
    stateDirectory: directory,
    run: async (command, args, input) => {
      if (args[1] === 'add') throw new NetworkError('tool-failed', 'mount: operation not permitted');
      return runTool(command, args, input);
    },
  });
  assert.deepEqual(network.status, { kind: 'not-enforced', why: 'this machine forbids network namespaces' });
});

test('openNetwork() says so when a process cannot be confined', { skip }, async () => {
  const network = await openNetwork({
    stateDirectory: directory,
    run: async (command, args, input) => {
      if (args.includes('setpriv')) throw new NetworkError('tool-failed', 'mount: permission denied');
      return runTool(command, args, input);
    },
  });
  assert.deepEqual(network.status, {
    kind: 'not-enforced',
    why: 'this machine cannot confine processes (`unshare`, `mount`, `setpriv` of util-linux)',
  });
  assert.deepEqual(await remains(), []);
});

test('runTool() reports the first line of the complaint', async () => {
  await assert.rejects(runTool('sh', ['-c', 'echo no such thing >&2; echo more >&2; exit 3']), {
    code: 'tool-failed',
    message: /no such thing$/,
  });
  await assert.rejects(runTool('no-such-tool-of-any-name', []), { code: 'tool-failed' });
});

test('freeRanges() avoids every route that overlaps and ignores the default route', () => {
  const free = freeRanges(
    ['default', '0.0.0.0/0', '10.0.0.0/9', '10.200.1.4', '172.16.0.0/12', 'fe80::/64'],
    0,
  );
  const names = free.map(formatRange);
  assert.equal(names[0], '10.128.0.0/16');
  assert.ok(!names.includes('10.200.0.0/16'));
  assert.ok(!names.some(name => name.startsWith('172.')));
  assert.equal(freeRanges(['10.0.0.0/8', '172.16.0.0/12', '198.18.0.0/15'], 7).length, 0);
  assert.equal(freeRanges([], 3).map(formatRange)[0], '10.3.0.0/16');
});

test('linkAddresses() gives every link four addresses of its own', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 16_383 }), index => {
      const { host, service } = linkAddresses({ first: 10, second: 7 }, index);
      const [, , c = 0, d = 0] = host.split('.').map(Number);
      assert.equal(c * 256 + d - 1, index * 4);
      assert.equal(service, `10.7.${c}.${d + 1}`);
    }),
  );
  assert.throws(() => linkAddresses({ first: 10, second: 7 }, 16_384), RangeError);
});

test('networkId() gives different state directories different names that fit an interface', () => {
  assert.notEqual(networkId('/a'), networkId('/b'));
  assert.ok(`rw${networkId('/a')}-16383`.length <= 15);
});

test('commandInside() passes words as words', () => {
  const command = commandInside(
    {
      namespace: 'rw-a-b',
      stateDirectory: '/state dir',
      dataDirectory: '/state dir/data/b',
      opened: undefined,
      uid: 7,
      keeps: [],
    },
    ['sh', '-c', 'echo "$HOME"; rm'],
  );
  assert.deepEqual(command.slice(-3), ['sh', '-c', 'echo "$HOME"; rm']);
  assert.ok(command.includes('/state dir'));
});

function portFor(from: string, to: string): number {
  return 15_000 + SERVICES.indexOf(from as never) * 10 + SERVICES.indexOf(to as never);
}

/** The listeners that the agent has for a service; here also for calls that are not declared, so that only rules stop them. */
function portsOf(from: string): number[] {
  return SERVICES.filter(to => to !== from).map(to => portFor(from, to));
}

function placementOf(name: string, { agentHost, serviceHost }: Ends): ServicePlacement {
  return {
    inbound: { host: '127.0.0.1', port: 14_000 },
    app: { host: serviceHost, port: APP_PORT },
    outbound: new Map((CALLS[name] ?? []).map(to => [to, { host: agentHost, port: portFor(name, to) }])),
    egress: new Map(),
  };
}

function placements(ends: ReadonlyMap<string, Ends>): ReadonlyMap<string, ServicePlacement> {
  return new Map([...ends].map(([name, end]) => [name, placementOf(name, end)]));
}

function endsOf(ends: ReadonlyMap<string, Ends>, name: string): Ends {
  return ends.get(name) ?? assert.fail(`no ends of ${name}`);
}

async function listen(host: string, port: number): Promise<Server> {
  const server = createServer(socket => socket.destroy()).listen(port, host);
  await once(server, 'listening');
  return server;
}

/** A service inside its namespace that echoes on its port. */
async function startApp(network: Network, name: string): Promise<ChildProcess> {
  const script = `require('net').createServer(s => s.pipe(s).on('error', () => {})).listen(${APP_PORT}, () => console.log('up'))`;
  const [file, ...args] = network.inside(name, [process.execPath, '-e', script]);
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

async function runInside(network: Network, name: string, command: [string, ...string[]]): Promise<string> {
  const [file, ...args] = network.inside(name, command);
  return (await promisify(execFile)(file, args)).stdout;
}

async function reachedFrom(
  network: Network,
  name: string,
  targets: readonly { host: string; port: number }[],
): Promise<boolean[]> {
  const script = `
    const { connect } = require('net');
    Promise.all(${JSON.stringify(targets)}.map(target => new Promise(resolve => {
      const socket = connect(target, () => { socket.destroy(); resolve(true); });
      socket.on('error', () => resolve(false)).setTimeout(500, () => { socket.destroy(); resolve(false); });
    }))).then(all => console.log(JSON.stringify(all)));`;
  return JSON.parse(await runInside(network, name, [process.execPath, '-e', script])) as boolean[];
}

async function connects(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  const timer = setTimeout(() => socket.destroy(new Error('timeout')), 500);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** What the kernel still holds of this system; `range` is its claim on addresses. */
async function remains(range = 'no range'): Promise<string[]> {
  const found = await Promise.all([
    runTool('ip', ['netns', 'list']),
    runTool('ip', ['-o', 'link']),
    runTool('nft', ['list', 'tables']),
    runTool('ip', ['route', 'show', 'type', 'unreachable']),
  ]);
  const id = networkId(directory);
  return found.flatMap(text => text.split('\n')).filter(line => line.includes(id) || line.includes(range));
}

async function claimedRange(): Promise<string> {
  return (JSON.parse(await readFile(join(directory, 'network.json'), 'utf8')) as { range: string }).range;
}
