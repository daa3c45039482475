import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ServicePlacement } from '#domain/compile';
import {
  compileHostRuleset,
  compileServiceRuleset,
  judgePacket,
  renderRemoval,
  renderRuleset,
  wallOf,
  type Packet,
  type Wall,
} from '#domain/firewall';

test('renderRuleset() of the host is one transaction that replaces the table', () => {
  assert.equal(renderRuleset(host([wall(0, [15_001])])), HOST);
});

test('renderRuleset() of a service namespace drops by policy in every direction', () => {
  assert.equal(renderRuleset(compileServiceRuleset('ringwall_ab12cd', wall(0, [15_001]))), INSIDE);
});

test('renderRuleset() of a host without services still closes its links', () => {
  const text = renderRuleset(host([]));
  assert.ok(!text.includes('vmap'));
  assert.match(text, /iifname "rwab12cd-\*" counter drop/);
});

test('renderRemoval() succeeds with and without the table', () => {
  assert.equal(renderRemoval('ringwall_a'), 'add table inet ringwall_a\ndelete table inet ringwall_a\n');
});

for (const table of ['a b', 'a;', 'a\n', 'a"', '', '1a', '{', 'a}']) {
  test(`renderRuleset() refuses the table name ${JSON.stringify(table)}`, () => {
    assert.throws(() => renderRuleset(compileHostRuleset(table, 'rw', [], AGENT_UID)), RangeError);
    assert.throws(() => renderRemoval(table), RangeError);
  });
}

for (const address of ['10.0.0.2; accept', '::1', '10.0.0.0/8', '', '10.0.0']) {
  test(`renderRuleset() refuses the address ${JSON.stringify(address)}`, () => {
    const base = wall(0, [1]);
    const bad = { ...base, link: { ...base.link, serviceAddress: address } };
    assert.throws(() => renderRuleset(compileServiceRuleset('t', bad)), RangeError);
  });
}

for (const port of [0, 65_536, 1.5, Number.NaN, -1]) {
  test(`renderRuleset() refuses port ${port}`, () => {
    assert.throws(() => renderRuleset(compileServiceRuleset('t', wall(0, [port]))), RangeError);
  });
}

for (const uid of [-1, 1.5, 2 ** 32 - 1, Number.NaN]) {
  test(`renderRuleset() refuses user ${uid}`, () => {
    assert.throws(() => renderRuleset(compileHostRuleset('t', 'rw', [wall(0, [1])], uid)), RangeError);
  });
}

test('renderRuleset() keeps a purpose from ending its comment', () => {
  const base = wall(0, [1]);
  const text = renderRuleset(
    compileServiceRuleset('t', { ...base, reaches: [{ port: 1, purpose: 'x" accept\n  accept' }] }),
  );
  assert.match(text, /comment "x_ accept_ {2}accept"/);
});

test('wallOf() opens the listeners of declared calls and egress, and nothing else', () => {
  const made = wallOf('front', placement(), link(0));
  assert.deepEqual(made.reaches, [
    { port: 15_001, purpose: 'calls catalog' },
    { port: 15_002, purpose: 'egress https://bank.example' },
  ]);
  assert.equal(made.appPort, 8080);
});

test('wallOf() refuses a listener that is not on the link of its service', () => {
  const elsewhere = { ...placement(), outbound: new Map([['catalog', { host: '127.0.0.1', port: 15_001 }]]) };
  assert.throws(() => wallOf('front', elsewhere, link(0)), RangeError);
});

test('wallOf() refuses a service that does not listen on its own link', () => {
  assert.throws(
    () => wallOf('front', { ...placement(), app: { host: '127.0.0.1', port: 1 } }, link(0)),
    RangeError,
  );
});

const AGENT_UID = 7;

const systems = fc
  .array(fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 5 }), { minLength: 1, maxLength: 6 })
  .map(services => services.map((ports, index) => wall(index, ports)));

/** Everything that could be meant: declared, undeclared, the ports of others, outside, other protocols and families. */
const probes = fc.record({
  from: fc.nat(),
  to: fc.nat(),
  side: fc.constantFrom('host', 'service', 'outside', 'own'),
  port: fc.integer({ min: 1, max: 14 }),
  protocol: fc.constantFrom('tcp', 'udp', 'icmp'),
  family: fc.constantFrom(4, 6),
} as const);

test('a first packet from a service passes exactly when its wall declares the listener', () => {
  let passed = 0;
  fc.assert(
    fc.property(systems, probes, (walls, probe) => {
      const from = at(walls, probe.from);
      const destination = addressOf(walls, probe, from);
      const arrives = travels(walls, from, {
        family: probe.family,
        source: from.link.serviceAddress,
        destination,
        protocol: probe.protocol,
        port: probe.port,
      });
      const declared =
        probe.family === 4 &&
        probe.protocol === 'tcp' &&
        destination === from.link.hostAddress &&
        from.reaches.some(({ port }) => port === probe.port);
      if (declared) passed += 1;
      assert.equal(arrives, declared);
    }),
    { numRuns: 2000 },
  );
  assert.ok(passed > 3, 'the property met declared packets too');
});

test("a first packet from the host reaches a service on its own port, from the agent's user only", () => {
  const senders = fc.constantFrom(AGENT_UID, 0, 65_534, undefined);
  let passed = 0;
  fc.assert(
    fc.property(systems, probes, senders, fc.boolean(), (walls, probe, ownerUid, isAimed) => {
      const to = at(walls, probe.to);
      const port = isAimed ? to.appPort : probe.port;
      const packet = {
        family: probe.family,
        source: to.link.hostAddress,
        destination: to.link.serviceAddress,
        protocol: probe.protocol,
        port,
        established: false,
        ...(ownerUid !== undefined && { ownerUid }),
      };
      const arrives =
        judgePacket(host(walls), 'output', { ...packet, outInterface: to.link.hostInterface }) === 'accept' &&
        judgePacket(inside(to), 'input', { ...packet, inInterface: 'eth0' }) === 'accept';
      const isAgent = ownerUid === AGENT_UID;
      const declared = probe.family === 4 && probe.protocol === 'tcp' && port === to.appPort && isAgent;
      if (declared) passed += 1;
      assert.equal(arrives, declared);
    }),
    { numRuns: 2000 },
  );
  assert.ok(passed > 3, 'the property met packets of the agent too');
});

test('the host side alone holds when a service has removed the rules of its own namespace', () => {
  fc.assert(
    fc.property(systems, probes, fc.boolean(), (walls, probe, established) => {
      const from = at(walls, probe.from);
      const spoofed = addressOf(walls, { ...probe, side: 'service' }, from);
      const destination = addressOf(walls, probe, from);
      const packet: Packet = {
        inInterface: from.link.hostInterface,
        family: probe.family,
        source: spoofed,
        destination,
        protocol: probe.protocol,
        port: probe.port,
        established,
      };
      const verdict = judgePacket(host(walls), 'input', packet);
      if (spoofed !== from.link.serviceAddress || destination !== from.link.hostAddress)
        assert.equal(verdict, 'drop');
      assert.equal(judgePacket(host(walls), 'forward', packet), 'drop');
    }),
    { numRuns: 1000 },
  );
});

test('the inner side alone holds when the host has no rules', () => {
  const service = wall(0, [5]);
  const packet = {
    family: 4,
    source: service.link.serviceAddress,
    protocol: 'tcp',
    established: false,
  } as const;
  const out = { outInterface: 'eth0', ...packet };
  assert.equal(
    judgePacket(inside(service), 'output', { ...out, destination: '10.0.0.1', port: 5 }),
    'accept',
  );
  assert.equal(judgePacket(inside(service), 'output', { ...out, destination: '10.0.0.1', port: 6 }), 'drop');
  assert.equal(judgePacket(inside(service), 'output', { ...out, destination: '10.0.0.5', port: 5 }), 'drop');
  assert.equal(
    judgePacket(inside(service), 'output', { ...out, outInterface: 'lo', destination: '127.0.0.1', port: 9 }),
    'accept',
  );
});

test('a namespace without a wall lets only its own loopback through', () => {
  const rules = compileServiceRuleset('t', undefined);
  const packet = {
    family: 4,
    source: '10.0.0.2',
    destination: '10.0.0.1',
    protocol: 'tcp',
    port: 1,
  } as const;
  const verdict = (name: string, established: boolean) =>
    judgePacket(rules, 'output', { ...packet, outInterface: name, established });
  assert.equal(verdict('eth0', true), 'drop');
  assert.equal(verdict('eth0', false), 'drop');
  assert.equal(verdict('lo', false), 'accept');
});

test('nobody but its service reaches the listeners of an agent: not the host, not the network, not another service', () => {
  const walls = [wall(0, [15_001]), wall(1, [15_001])];
  const packet: Packet = {
    family: 4,
    source: '10.0.0.2',
    destination: '10.0.0.1',
    protocol: 'tcp',
    port: 15_001,
    established: false,
  };
  const arrives = (inInterface: string, established = false) =>
    judgePacket(host(walls), 'input', { ...packet, inInterface, established });
  assert.equal(arrives('rwab12cd-0'), 'accept');
  for (const name of ['lo', 'eth0', 'rwab12cd-1', 'docker0']) {
    assert.equal(arrives(name), 'drop');
    assert.equal(arrives(name, true), 'drop');
  }
});

test('packets of interfaces that are not ours are left alone', () => {
  const rules = host([wall(0, [1])]);
  const packet: Packet = {
    inInterface: 'eth0',
    outInterface: 'eth0',
    family: 4,
    source: '192.0.2.9',
    destination: '192.0.2.2',
    protocol: 'tcp',
    port: 22,
    established: false,
  };
  for (const hook of ['input', 'output', 'forward'] as const)
    assert.equal(judgePacket(rules, hook, packet), 'accept');
});

test('a link of ours that has no wall is closed', () => {
  const packet: Packet = {
    inInterface: 'rwab12cd-77',
    outInterface: 'rwab12cd-77',
    family: 4,
    source: '10.0.1.2',
    destination: '10.0.1.1',
    protocol: 'tcp',
    port: 1,
    established: true,
  };
  for (const hook of ['input', 'output', 'forward'] as const) {
    assert.equal(judgePacket(host([wall(0, [1])]), hook, packet), 'drop');
  }
});

/** Whether a first packet gets from a service to a socket: out of its namespace, then into or through the host. */
function travels(walls: readonly Wall[], from: Wall, probe: Omit<Packet, 'established'>): boolean {
  const packet = { ...probe, established: false };
  if (judgePacket(inside(from), 'output', { ...packet, outInterface: 'eth0' }) === 'drop') return false;
  const isHost = walls.some(({ link }) => link.hostAddress === packet.destination);
  const onHost = { ...packet, inInterface: from.link.hostInterface };
  return judgePacket(host(walls), isHost ? 'input' : 'forward', onHost) === 'accept';
}

function addressOf(walls: readonly Wall[], probe: { to: number; side: string }, from: Wall): string {
  if (probe.side === 'outside') return '192.0.2.1';
  if (probe.side === 'own') return from.link.hostAddress;
  const { link } = at(walls, probe.to);
  return probe.side === 'host' ? link.hostAddress : link.serviceAddress;
}

function host(walls: readonly Wall[]) {
  return compileHostRuleset('ringwall_ab12cd', 'rwab12cd-', walls, AGENT_UID);
}

function inside(service: Wall) {
  return compileServiceRuleset('ringwall_ab12cd', service);
}

function at(walls: readonly Wall[], index: number): Wall {
  return walls[index % walls.length] ?? assert.fail('no walls');
}

function link(index: number) {
  return {
    hostInterface: `rwab12cd-${index}`,
    hostAddress: `10.0.0.${index * 4 + 1}`,
    serviceInterface: 'eth0',
    serviceAddress: `10.0.0.${index * 4 + 2}`,
  };
}

function wall(index: number, ports: readonly number[]): Wall {
  return {
    service: `s${index}`,
    link: link(index),
    appPort: 8,
    reaches: ports.map(port => ({ port, purpose: `calls t${port}` })),
  };
}

function placement(): ServicePlacement {
  return {
    inbound: { host: '127.0.0.1', port: 14_000 },
    app: { host: '10.0.0.2', port: 8080 },
    outbound: new Map([['catalog', { host: '10.0.0.1', port: 15_001 }]]),
    egress: new Map([['https://bank.example', { host: '10.0.0.1', port: 15_002 }]]),
  };
}

const HOST = `add table inet ringwall_ab12cd
delete table inet ringwall_ab12cd
table inet ringwall_ab12cd {
  chain in_rwab12cd_0 {
    ct state established ip saddr 10.0.0.2 ip daddr 10.0.0.1 accept
    ip saddr 10.0.0.2 ip daddr 10.0.0.1 tcp dport 15001 accept comment "calls t15001"
    counter drop
  }

  chain out_rwab12cd_0 {
    ct state established ip saddr 10.0.0.1 ip daddr 10.0.0.2 accept
    ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp dport 8 meta skuid 7 accept comment "agent to s0"
    counter drop
  }

  chain input {
    type filter hook input priority filter; policy accept;
    iifname vmap { "rwab12cd-0" : jump in_rwab12cd_0 }
    iifname "rwab12cd-*" counter drop
    ip daddr 10.0.0.1 counter drop
  }

  chain output {
    type filter hook output priority filter; policy accept;
    oifname vmap { "rwab12cd-0" : jump out_rwab12cd_0 }
    oifname "rwab12cd-*" counter drop
  }

  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "rwab12cd-*" counter drop
    oifname "rwab12cd-*" counter drop
  }
}
`;

const INSIDE = `add table inet ringwall_ab12cd
delete table inet ringwall_ab12cd
table inet ringwall_ab12cd {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname "eth0" ct state established ip saddr 10.0.0.1 ip daddr 10.0.0.2 accept
    iifname "eth0" ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp dport 8 accept comment "agent to s0"
    counter drop
  }

  chain output {
    type filter hook output priority filter; policy drop;
    oifname "lo" accept
    oifname "eth0" ct state established ip saddr 10.0.0.2 ip daddr 10.0.0.1 accept
    oifname "eth0" ip saddr 10.0.0.2 ip daddr 10.0.0.1 tcp dport 15001 accept comment "calls t15001"
    counter drop
  }

  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
`;
