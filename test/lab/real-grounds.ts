import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import type { Address, AgentBundle, Bundle, GatewayBundle } from '#domain/bundle';
import { compile, type Placement, type ServicePlacement } from '#domain/compile';
import type { TransactionRecord } from '#domain/record';
import { partIdentity, serviceIdentity } from '#domain/spiffe';
import { createAgent } from '#service/agent';
import { createGateway } from '#service/gateway';
import { LabAuthority, LabIdentities, LabIssuer, MemoryJournal, startBackend } from '#service/lab';
import type { Grounds } from '#service/prove';
import { LAB_HOST, labModel } from './lab-model.ts';

/** What is changed in the bundles before they are put in force: the protection that is off. */
export type Weakening = {
  readonly gateway?: (bundle: GatewayBundle) => GatewayBundle;
  readonly agent?: (bundle: AgentBundle) => AgentBundle;
};

const ANY: Address = { host: '127.0.0.1', port: 0 };

/** The real gateway and the real agent under the lab's model, but for one protection. */
export async function openRealLab(
  weakening: Weakening = {},
): Promise<{ readonly grounds: Grounds; readonly close: () => Promise<void> }> {
  const model = labModel();
  const names = [...model.services.keys()];
  const authority = await LabAuthority.open(model.trustDomain);
  const identityOf = (name: string) => serviceIdentity(model.trustDomain, 'default', name);
  const identities = new LabIdentities(authority.trustAnchors);
  identities.held.set('edge', await authority.server([LAB_HOST]));
  for (const id of [partIdentity(model.trustDomain, 'gateway'), ...names.map(identityOf)]) {
    identities.held.set(id, await authority.identity(id));
  }
  const issuer = await LabIssuer.start();
  const backend = await startBackend(({ body, answer }) => {
    const isGuess = body.toString().includes('"password":"wrong"');
    answer(`HTTP/1.1 ${isGuess ? '401 Unauthorized' : '200 OK'}\r\ncontent-length: 2\r\n\r\nhi`);
  });
  const journal = new MemoryJournal();
  const gateway = createGateway({ journal, clock: systemClock, log: silentLog });
  const agent = createAgent({ journal, clock: systemClock, log: silentLog });
  let version = 0;
  let bundles: readonly Bundle[] = [];
  const apply = async () => {
    const placement = placementOf(model.services, name => agent.port(name), backend.address);
    const [gatewayBundle, ...agentBundles] = compile({
      model,
      modelDigest: 'sha256:0',
      placement,
      version: ++version,
      trustAnchors: authority.trustAnchors,
      revoked: { identities: [], serials: [] },
      issuerUrl: () => issuer.url,
    });
    const [agentBundle] = agentBundles;
    if (agentBundle === undefined) throw new TypeError('no agent');
    const weakAgent = onAnyPort(weakening.agent?.(agentBundle) ?? agentBundle);
    const weakGateway = weakening.gateway?.(gatewayBundle) ?? gatewayBundle;
    await agent.apply(weakAgent, identities);
    await gateway.apply(weakGateway, identities);
    bundles = [weakGateway, weakAgent];
  };
  await apply();
  // Once more: now the ports of all inbound sides are known to their callers.
  await apply();
  const portOf = (purpose: string): Address => ({ host: '127.0.0.1', port: agent.port(purpose) });

  const grounds: Grounds = {
    model,
    modelDigest: 'sha256:0',
    network: { kind: 'not-enforced', why: 'a lab' },
    terrain: { hasNamespaces: false, hasTokens: true, points: bundles.map(({ point }) => point) },
    trustAnchors: authority.trustAnchors,
    address: place => {
      switch (place.kind) {
        case 'gateway':
          return { host: '127.0.0.1', port: gateway.port };
        case 'inbound':
          return portOf(`inbound/${place.service}`);
        case 'outbound':
          return portOf(`outbound/${place.caller}/${place.callee}`);
        case 'app':
          return backend.address;
        case 'admin':
        case 'control':
          return undefined;
      }
    },
    inside: () => undefined,
    issueToken: ({ user, scopes }) => issuer.token({ sub: user, scope: scopes.join(' ') }),
    issuerKeys: () => Promise.resolve([]),
    issueCertificate: async ({ of }) => authority.identity(identityOf(of)),
    revokeSerial: () => Promise.resolve(),
    ledgerPosition: () => Promise.resolve(0),
    recordsSince: () =>
      Promise.resolve(
        Map.groupBy(journal.records as readonly TransactionRecord[], ({ requestId }) => requestId),
      ),
    ledger: undefined,
  };
  return {
    grounds,
    close: async () => {
      gateway.close();
      agent.close();
      issuer.close();
      await backend.close();
    },
  };
}

/** Listeners choose their ports; upstreams keep the addresses that were chosen before. */
function onAnyPort(bundle: AgentBundle): AgentBundle {
  const services = bundle.services.map(service => ({
    ...service,
    inbound: ANY,
    outbound: service.outbound.map(target => ({ ...target, listen: ANY })),
  }));
  return { ...bundle, services };
}

function placementOf(
  services: ReturnType<typeof labModel>['services'],
  port: (purpose: string) => number,
  app: Address,
): Placement {
  const places = [...services.values()].map(({ name, calls }): [string, ServicePlacement] => [
    name,
    {
      inbound: { host: '127.0.0.1', port: port(`inbound/${name}`) || 1 },
      app,
      outbound: new Map(
        calls.map(({ service }) => [
          service,
          { host: '127.0.0.1', port: port(`outbound/${name}/${service}`) || 1 },
        ]),
      ),
      egress: new Map(),
    },
  ]);
  return {
    gateway: { name: 'gateway', listen: ANY, admin: ANY },
    agents: [{ name: 'agent', admin: ANY, services: [...services.keys()] }],
    services: new Map(places),
  };
}
