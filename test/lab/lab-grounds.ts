import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#base/clock';
import { silentLog } from '#base/log';
import type { Address, AgentBundle, Bundle, GatewayBundle } from '#domain/bundle';
import { compile, type Placement, type ServicePlacement } from '#domain/compile';
import type { TransactionRecord } from '#domain/record';
import { partIdentity, serviceIdentity } from '#domain/spiffe';
import { createAgent } from '#service/agent';
import { createGateway } from '#service/gateway';
import { LabAuthority, LabIdentities, LabIssuer, MemoryJournal, startBackend } from '#service/lab';
import { EDGE_IDENTITY } from '#service/point';
import type { Grounds } from '#service/prove';
import type { ProxySettings } from '#service/proxy';
import { writeLedger } from './lab-ledger.ts';
import { LAB_HOST, labModel } from './lab-model.ts';
import { rsaKeyPair } from './rsa-key-pair.ts';

/** What is otherwise than in a real system: the protection that is off. */
export type Weakening = {
  /** Of the bundles, before they are put in force. */
  readonly gateway?: (bundle: GatewayBundle) => GatewayBundle;
  readonly agent?: (bundle: AgentBundle) => AgentBundle;
  readonly settings?: Partial<ProxySettings>;
  /** Which records of the points are lost. */
  readonly loses?: (record: TransactionRecord) => boolean;
  readonly ledger?: 'damaged';
  /** The kind of key that the edge shows. */
  readonly edgeKey?: 'rsa';
  /** The services are said to have networks of their own, and have none. */
  readonly network?: 'undivided';
};

export type Lab = { readonly grounds: Grounds; readonly close: () => Promise<void> };

const ANY: Address = { host: '127.0.0.1', port: 0 };

/** The real gateway and the real agent under the lab's model, but for one protection. */
export async function openLab(weakening: Weakening = {}): Promise<Lab> {
  const stack = new AsyncDisposableStack();
  const model = labModel();
  const names = [...model.services.keys()];
  const authority = await LabAuthority.open(model.trustDomain);
  const identityOf = (name: string) => serviceIdentity(model.trustDomain, 'default', name);
  const edge = weakening.edgeKey === 'rsa' ? await rsaKeyPair(LAB_HOST) : await authority.server([LAB_HOST]);
  const trustAnchors =
    weakening.edgeKey === 'rsa'
      ? [...authority.trustAnchors, edge.certificateChainPem]
      : authority.trustAnchors;
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-lab-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const caFile = join(directory, 'ca.pem');
  await writeFile(caFile, trustAnchors.join('\n'));
  const identities = new LabIdentities(trustAnchors);
  identities.held.set(EDGE_IDENTITY, edge);
  for (const id of [partIdentity(model.trustDomain, 'gateway'), ...names.map(identityOf)]) {
    identities.held.set(id, await authority.identity(id));
  }
  const issuer = await LabIssuer.start();
  stack.defer(() => issuer.close());
  const backend = await startBackend(({ body, answer }) => {
    const isGuess = body.toString().includes('"password":"wrong"');
    answer(`HTTP/1.1 ${isGuess ? '401 Unauthorized' : '200 OK'}\r\ncontent-length: 2\r\n\r\nhi`);
  });
  stack.defer(() => backend.close());
  const control = createServer().listen(0, '127.0.0.1');
  await once(control, 'listening');
  stack.defer(() => void control.close());
  const ledger = await writeLedger(model.trustDomain, weakening.ledger ?? 'whole');
  stack.defer(() => ledger.remove());

  const journal = new MemoryJournal();
  const { settings = {}, loses = () => false } = weakening;
  const gateway = createGateway({ journal, clock: systemClock, log: silentLog, settings });
  stack.defer(() => gateway.close());
  const agent = createAgent({ journal, clock: systemClock, log: silentLog, settings });
  stack.defer(() => agent.close());

  let version = 0;
  let bundles: readonly Bundle[] = [];
  const serials: string[] = [];
  const apply = async () => {
    const [gatewayBundle, agentBundle] = compile({
      model,
      modelDigest: 'sha256:0',
      placement: placementOf(model.services, name => agent.port(name), backend.address),
      version: ++version,
      trustAnchors,
      revoked: { identities: [], serials },
      issuerUrl: () => issuer.url,
    });
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
  let turn: Promise<void> = Promise.resolve();
  const local = (port: number): Address => ({ host: '127.0.0.1', port });

  const grounds: Grounds = {
    model,
    modelDigest: 'sha256:0',
    network: { kind: 'not-enforced', why: 'a lab' },
    terrain: {
      hasNamespaces: weakening.network === 'undivided',
      hasTokens: true,
      points: bundles.map(({ point }) => point),
    },
    trustAnchors,
    caFile,
    address: place => {
      switch (place.kind) {
        case 'gateway':
          return local(gateway.port);
        case 'inbound':
          return local(agent.port(`inbound/${place.service}`));
        case 'outbound':
          return local(agent.port(`outbound/${place.caller}/${place.callee}`));
        case 'app':
          return backend.address;
        case 'admin':
          return local(place.point === 'gateway' ? gateway.adminPort : agent.adminPort);
        case 'control':
          return local((control.address() as AddressInfo).port);
      }
    },
    inside: (_service, [file = '', ...args]) =>
      weakening.network === 'undivided' ? [file, ...args] : undefined,
    issueToken: ({ user, scopes, lifetimeSeconds, audience }) =>
      issuer.token({
        sub: user,
        scope: scopes.join(' '),
        ...(lifetimeSeconds !== undefined && { lifetimeS: lifetimeSeconds }),
        ...(audience !== undefined && { audience }),
      }),
    issuerKeys: async () => {
      const answer = await fetch(`${issuer.url}/jwks`);
      return ((await answer.json()) as { readonly keys: readonly Record<string, unknown>[] }).keys;
    },
    issueCertificate: ({ of, notBeforeSeconds = -60, lifetimeSeconds = 300 }) => {
      const notBeforeMs = Date.now() + notBeforeSeconds * 1000;
      const notAfterMs = notBeforeMs + lifetimeSeconds * 1000;
      return of === EDGE_IDENTITY
        ? authority.server([LAB_HOST])
        : authority.identity(identityOf(of), { kind: 'between', notBeforeMs, notAfterMs });
    },
    revokeSerial: serial => {
      serials.push(serial);
      turn = turn.then(apply);
      return turn;
    },
    ledgerPosition: () => Promise.resolve(0),
    recordsSince: () => {
      const kept = journal.records.filter(record => !loses(record));
      return Promise.resolve(Map.groupBy(kept, ({ requestId }) => requestId));
    },
    ledger: ledger.files,
  };
  return { grounds, close: () => stack.disposeAsync() };
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
