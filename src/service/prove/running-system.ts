import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, quote } from '#base/error';
import { compileSchema, SchemaError, Type } from '#base/schema';
import type { Place } from '#domain/attack';
import type { Address, AgentBundle, Bundle, GatewayBundle } from '#domain/bundle';
import { parseKey } from '#domain/merkle';
import { parseModel, type Model } from '#domain/model';
import type { Proof } from '#domain/proof';
import type { TransactionRecord } from '#domain/record';
import { callControl } from '#service/control-client';
import { verifyLedger, type EntryView } from '#service/ledger';
import type {
  CertificateOrder,
  Grounds,
  IssuedIdentity,
  JsonWebKey,
  LedgerFiles,
  TokenOrder,
} from './grounds.ts';
import { ProveError } from './prove-error.ts';

const readyFile = compileSchema(
  'ready.json',
  Type.Object({
    ca: Type.String(),
    issuer: Type.Union([Type.String(), Type.Null()]),
    network: Type.Union([
      Type.Object({ kind: Type.Literal('enforced') }),
      Type.Object({ kind: Type.Literal('not-enforced'), why: Type.String() }),
    ]),
    services: Type.Record(
      Type.String(),
      Type.Object({ namespace: Type.Optional(Type.String()), standIn: Type.Boolean() }),
    ),
  }),
);
type ReadyFile = {
  readonly ca: string;
  readonly issuer: string | null;
  readonly network: Proof['network'];
  readonly services: Readonly<Record<string, { readonly namespace?: string; readonly standIn: boolean }>>;
};

type AppliedModel = {
  readonly file: string;
  readonly directory: string;
  readonly text: string;
  readonly digest: string;
};
type RecordsView = { readonly size: number; readonly records: readonly EntryView[] };

const PAGE = 5_000;
/** How long the last records may take from their point to the ledger. */
const SHIPPING_MS = 1_500;

/**
 * Adapter: the system that `ringwall up` runs on a state directory. All that is attacked stands in what control says.
 *
 * @throws {ProveError} `not-running`, `bad-ready-file`, `bad-answer`
 * @throws {ControlError} when control does not answer
 */
export async function openRunningSystem(stateDir: string): Promise<Grounds> {
  const ready = await readReadyFile(stateDir);
  const applied = await callControl<AppliedModel>(stateDir, 'GET', '/model');
  const { bundles } = await callControl<{ readonly bundles: readonly { readonly bundle: Bundle }[] }>(
    stateDir,
    'GET',
    '/bundles',
  );
  const status = await callControl<{ readonly address?: Address }>(stateDir, 'GET', '/status');
  const parsed = parseModel(applied);
  if (parsed.kind !== 'model')
    throw new ProveError('bad-answer', 'control has a model that this release cannot read');
  return new RunningSystem({
    stateDir,
    ready,
    model: parsed.model,
    digest: applied.digest,
    bundles: bundles.map(({ bundle }) => bundle),
    control: status.address,
  });
}

type Parts = {
  readonly stateDir: string;
  readonly ready: ReadyFile;
  readonly model: Model;
  readonly digest: string;
  readonly bundles: readonly Bundle[];
  readonly control: Address | undefined;
};

/** Addresses at which this machine hears itself. */
const HERE = /^(127\.|0\.0\.0\.0$)/;

class RunningSystem implements Grounds {
  readonly #parts: Parts;
  readonly #gateway: GatewayBundle | undefined;
  readonly #services: ReadonlyMap<string, AgentBundle['services'][number]>;
  #keys: Promise<readonly JsonWebKey[]> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#gateway = parts.bundles.find(bundle => bundle.kind === 'gateway');
    this.#services = new Map(
      parts.bundles
        .flatMap(bundle => (bundle.kind === 'agent' ? bundle.services : []))
        .map(service => [service.name, service]),
    );
  }

  get model(): Model {
    return this.#parts.model;
  }

  get modelDigest(): string {
    return this.#parts.digest;
  }

  get network() {
    return this.#parts.ready.network;
  }

  get caFile(): string {
    return this.#parts.ready.ca;
  }

  get terrain() {
    const { bundles, ready } = this.#parts;
    return {
      hasNamespaces: ready.network.kind === 'enforced',
      hasTokens: ready.issuer !== null,
      points: bundles.map(({ point }) => point),
    };
  }

  get trustAnchors(): readonly string[] {
    return this.#gateway?.trustAnchors ?? [];
  }

  address(place: Place, from?: string): Address | undefined {
    const address = this.#addressHere(place);
    const end = from === undefined ? undefined : this.#nearEndOf(from);
    // Loopback in a namespace is the namespace's own: what listens on the machine is sought at the other end of the link.
    return address !== undefined && end !== undefined && HERE.test(address.host)
      ? { host: end, port: address.port }
      : address;
  }

  #addressHere(place: Place): Address | undefined {
    switch (place.kind) {
      case 'gateway':
        return this.#gateway?.listen;
      case 'inbound':
        return this.#services.get(place.service)?.inbound;
      case 'app':
        return this.#services.get(place.service)?.app;
      case 'outbound':
        return this.#services.get(place.caller)?.outbound.find(({ to }) => to.service === place.callee)
          ?.listen;
      case 'admin':
        return this.#parts.bundles.find(({ point }) => point === place.point)?.admin;
      case 'control':
        return this.#parts.control;
    }
  }

  inside(service: string, command: readonly string[]): readonly [string, ...string[]] | undefined {
    const namespace = this.#namespaceOf(service);
    return namespace === undefined
      ? undefined
      : ['nsenter', `--net=/run/netns/${namespace}`, '--', ...command];
  }

  async issueToken(order: TokenOrder): Promise<string> {
    const { access_token } = await callControl<{ readonly access_token: string }>(
      this.#parts.stateDir,
      'POST',
      '/token',
      order,
    );
    return access_token;
  }

  issuerKeys(): Promise<readonly JsonWebKey[]> {
    return (this.#keys ??= this.#fetchKeys());
  }

  issueCertificate({ of, ...validity }: CertificateOrder): Promise<IssuedIdentity> {
    return callControl<IssuedIdentity>(this.#parts.stateDir, 'POST', '/proof/identity', {
      service: of,
      ...validity,
    });
  }

  async revokeSerial(serial: string, untilMs: number): Promise<void> {
    await callControl(this.#parts.stateDir, 'POST', '/proof/revoke-serial', {
      serial,
      untilMs: Math.ceil(untilMs),
    });
  }

  async ledgerPosition(): Promise<number> {
    const { size } = await callControl<RecordsView>(
      this.#parts.stateDir,
      'GET',
      '/records?after=newest&limit=1',
    );
    return size;
  }

  async recordsSince(position: number): Promise<ReadonlyMap<string, readonly TransactionRecord[]>> {
    await new Promise(resolve => void setTimeout(resolve, SHIPPING_MS));
    const found = new Map<string, TransactionRecord[]>();
    for (let next = position; ;) {
      const page = await this.#page(next);
      for (const entry of page) {
        next = entry.index + 1;
        if (entry.kind !== 'record') continue;
        const of = found.get(entry.record.requestId);
        if (of === undefined) found.set(entry.record.requestId, [entry.record]);
        else of.push(entry.record);
      }
      if (page.length === 0) return found;
    }
  }

  get ledger(): LedgerFiles {
    const { stateDir } = this.#parts;
    return {
      directory: join(stateDir, 'ledger'),
      statement: async () => {
        const { checkpoint } = await callControl<{ readonly checkpoint: string }>(
          stateDir,
          'GET',
          '/checkpoint',
        );
        return {
          checkpoint,
          key: parseKey((await readFile(join(stateDir, 'ledger.pub'), 'utf8')).trimEnd()),
        };
      },
      verify: verifyLedger,
    };
  }

  #namespaceOf(service: string): string | undefined {
    const { services } = this.#parts.ready;
    return Object.hasOwn(services, service) ? services[service]?.namespace : undefined;
  }

  /** The machine's end of a service's link: of the two addresses in its /30 the one before the service's own. */
  #nearEndOf(service: string): string | undefined {
    const host = this.#services.get(service)?.app.host;
    if (host === undefined || this.#namespaceOf(service) === undefined) return undefined;
    return host.replace(/\d+$/, last => `${Number(last) - 1}`);
  }

  /** Entries from index `next` on, at least one if there is any. */
  async #page(next: number): Promise<RecordsView['records']> {
    const { stateDir } = this.#parts;
    const { size, records } = await callControl<RecordsView>(
      stateDir,
      'GET',
      `/records?after=${Math.max(0, next - 1)}&limit=${PAGE}`,
    );
    if (next > 0 || size === 0) return records;
    // The query lists what is behind an entry, and nothing is before the first one.
    const first = await callControl<RecordsView>(stateDir, 'GET', '/records/0');
    return [...first.records, ...records];
  }

  async #fetchKeys(): Promise<readonly JsonWebKey[]> {
    const { issuer } = this.#parts.ready;
    if (issuer === null) return [];
    // RFC 8414 §3: the same way by which the gateway finds the keys.
    const discovered = await fetch(`${issuer}/.well-known/openid-configuration`, {
      signal: AbortSignal.timeout(5_000),
    });
    const { jwks_uri } = (await discovered.json()) as { readonly jwks_uri: string };
    const answer = await fetch(jwks_uri, { signal: AbortSignal.timeout(5_000) });
    return ((await answer.json()) as { readonly keys: readonly JsonWebKey[] }).keys;
  }
}

async function readReadyFile(stateDir: string): Promise<ReadyFile> {
  const path = join(stateDir, 'ready.json');
  try {
    const ready: ReadyFile = readyFile.parse(await readFile(path, 'utf8'));
    return ready;
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) {
      throw new ProveError(
        'not-running',
        `nothing runs on ${quote(stateDir)}: start it with \`ringwall up\``,
        { cause: error },
      );
    }
    if (error instanceof SchemaError)
      throw new ProveError('bad-ready-file', `${quote(path)}: ${error.message}`, { cause: error });
    throw error;
  }
}
