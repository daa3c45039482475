import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Shot } from '#domain/attack';
import type { AgentBundle, BundleCall, GatewayBundle } from '#domain/bundle';
import { METHODS } from '#domain/model';
import { serviceIdentity } from '#domain/spiffe';
import { runProof } from '#service/prove';
import { openRealLab, type Weakening } from '../lab/real-grounds.ts';

const AT = { file: 'lab.yaml', line: 1, column: 1 };
const EVERYTHING: BundleCall[] = METHODS.map(method => ({
  kind: 'http',
  rule: 'weak',
  method,
  path: '/**',
  at: AT,
}));

/** One protection of the real parts that is off, and the attacks that must get through then. */
const WEAK: readonly {
  readonly off: string;
  readonly weakening: Weakening;
  readonly attacks: readonly string[];
}[] = [
  {
    off: "the agents' table of calls",
    weakening: { agent: allowAllCalls },
    attacks: [
      'authorization/undeclared-pair',
      'authorization/undeclared-method',
      'authorization/undeclared-path',
      'authorization/own-agent-method',
      'authorization/own-agent-path',
      'authorization/plays-gateway',
    ],
  },
  {
    off: 'limits and lockouts of the gateway',
    weakening: { gateway: bundle => changeRoutes(bundle, { limits: [], lockout: null }) },
    attacks: [
      'rate/flood-none',
      'rate/flood-forwarded-for',
      'rate/flood-other-path',
      'rate/flood-drop-anonymous-id',
      'rate/guess-none',
    ],
  },
  {
    off: 'limits on size',
    weakening: { gateway: bundle => changeRoutes(bundle, { maxRequestBytes: 1_000_000_000 }) },
    attacks: ['rate/body-chunks'],
  },
  {
    off: 'scopes of routes',
    weakening: { gateway: bundle => changeRoutes(bundle, { scopes: [] }) },
    attacks: ['authorization/without-scope', 'authorization/scope-lookalike'],
  },
  {
    off: 'the demand for users',
    weakening: { gateway: bundle => changeRoutes(bundle, { clients: ['anonymous'], scopes: [] }) },
    attacks: ['authentication/no-token', 'authentication/token-in-query', 'authentication/identity-headers'],
  },
];

test('the real gateway and agent hold against all these attacks', async t => {
  const verdicts = await proveLab(
    t,
    {},
    WEAK.flatMap(({ attacks }) => attacks),
  );
  for (const [id, { kind, why }] of verdicts) assert.equal(kind, 'held', `${id}: ${why}`);
});

for (const { off, weakening, attacks } of WEAK) {
  test(`without ${off}, the attacks on it get through the real parts`, async t => {
    const verdicts = await proveLab(t, weakening, attacks);
    for (const attack of attacks) {
      const made = verdicts.filter(([id]) => id.startsWith(`${attack}@`));
      assert.ok(made.length > 0, attack);
      assert.ok(
        made.some(([, { kind }]) => kind === 'failed'),
        `${attack}: ${made.map(([id, { kind, why }]) => `${id} ${kind}: ${why}`).join('; ')}`,
      );
    }
  });
}

async function proveLab(t: TestContext, weakening: Weakening, attacks: readonly string[]) {
  const lab = await openRealLab(weakening);
  t.after(() => lab.close());
  const wants = ({ attack }: Pick<Shot, 'attack'>) => attacks.includes(attack.id);
  const { results } = await runProof({ grounds: lab.grounds, wants, nowMs: () => Date.now() });
  return results.map(({ shot, verdict }) => [shot.id, verdict] as const);
}

function changeRoutes(
  bundle: GatewayBundle,
  change: Partial<GatewayBundle['hosts'][number]['routes'][number]>,
): GatewayBundle {
  const hosts = bundle.hosts.map(host => ({
    ...host,
    routes: host.routes.map(route => ({ ...route, ...change })),
  }));
  return { ...bundle, hosts };
}

function allowAllCalls(bundle: AgentBundle): AgentBundle {
  const everybody = bundle.services.map(({ name }) => ({
    identity: serviceIdentity(bundle.trustDomain, 'default', name),
    service: name,
    calls: EVERYTHING,
  }));
  const services = bundle.services.map(service =>
    service.protocol === 'tcp'
      ? service
      : {
          ...service,
          callers: [...everybody, ...service.callers.filter(({ service }) => service === 'gateway')],
          outbound: service.outbound.map(target =>
            target.to.protocol === 'tcp' ? target : { ...target, calls: EVERYTHING },
          ),
        },
  );
  return { ...bundle, services };
}
