import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { encodeBase64Url } from '#base/bytes';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { closed, compileSchema, Type } from '#base/schema';
import type { Issuer, Model, Service } from '#domain/model';
import type { TokenSource } from '#service/control';
import {
  generateSigningKey,
  startIssuer,
  type IssuerClient,
  type LocalIssuer,
  type SigningKey,
} from '#service/issuer';
import type { PortBook } from '#service/network';
import type { Sealer } from '#service/sealed';

export type LocalIssuersOptions = {
  readonly stateDirectory: string;
  readonly sealer: Sealer;
  readonly ports: PortBook;
  /** Also play issuers that stand elsewhere. */
  readonly standIns: boolean;
  readonly clock: Clock;
  readonly log: Log;
};

type Playing = { readonly issuer: Issuer; readonly clients: readonly IssuerClient[]; server: LocalIssuer };

const DEFAULT_PORT = 4445;
const SEALED_NAME = 'issuer signing key';
const signingKey = compileSchema(
  'issuer signing key',
  closed({
    kty: Type.Literal('EC'),
    crv: Type.Literal('P-256'),
    x: Type.String(),
    y: Type.String(),
    d: Type.String(),
    kid: Type.String(),
  }),
);

/** The built-in issuers of a model: its local one and, with stand-ins, those that it would reach elsewhere. */
export class LocalIssuers {
  readonly #options: LocalIssuersOptions;
  readonly #key: SigningKey;
  readonly #secrets = new Map<string, IssuerClient>();
  readonly #playing = new Map<string, Playing>();

  private constructor(options: LocalIssuersOptions, key: SigningKey) {
    this.#options = options;
    this.#key = key;
  }

  static async open(options: LocalIssuersOptions): Promise<LocalIssuers> {
    return new LocalIssuers(options, await openSigningKey(options));
  }

  /** Starts what `model` needs; an issuer whose clients change starts anew on its port. */
  async start(model: Model): Promise<void> {
    for (const issuer of model.issuers.filter(each => this.isPlayed(each))) {
      const playing = this.#playing.get(issuer.name);
      const port = playing?.server.port ?? (await this.#portOf(issuer));
      const clients = clientsOf(model, `http://127.0.0.1:${port}`).map(name => this.#clientOf(name));
      if (
        playing !== undefined &&
        isSame(playing.clients, clients) &&
        playing.issuer.audience === issuer.audience
      )
        continue;
      await playing?.server.close();
      const server = await startIssuer({
        port,
        audience: issuer.audience,
        clients,
        signingKeys: [this.#key],
        clock: this.#options.clock,
        log: this.#options.log,
      });
      this.#playing.set(issuer.name, { issuer, clients, server });
    }
  }

  isPlayed({ issuer }: Issuer): boolean {
    return issuer === 'local' || this.#options.standIns;
  }

  /** Where an issuer of the model answers here; `undefined` when it is not played. */
  urlOf(issuer: Issuer): string | undefined {
    return this.#playing.get(issuer.name)?.server.issuer;
  }

  /** What an issuer signs with; one that is played signs as the built-in issuer does. */
  algorithmOf(issuer: Issuer): Issuer['algorithm'] {
    return this.isPlayed(issuer) ? 'ES256' : issuer.algorithm;
  }

  /** The issuer that `ringwall token` asks. */
  get source(): TokenSource | undefined {
    const [name, first] =
      [...this.#playing].find(([, { issuer }]) => issuer.issuer === 'local') ?? [...this.#playing][0] ?? [];
    if (name === undefined || first === undefined) return undefined;
    const current = () => this.#playing.get(name)?.server ?? first.server;
    return { issuer: first.server.issuer, issueToken: async request => current().issueToken(request) };
  }

  /** What a service that may reach a local issuer signs itself in with, to sign users in. */
  credentialsOf(service: Service): Readonly<Record<string, string>> {
    const reaches = [...this.#playing.values()].some(({ server }) =>
      service.egress.some(({ origin }) => origin === server.issuer),
    );
    if (!reaches) return {};
    const { clientId, clientSecret } = this.#clientOf(service.name);
    return { RINGWALL_ISSUER_CLIENT_ID: clientId, RINGWALL_ISSUER_CLIENT_SECRET: clientSecret };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#playing.values()].map(async ({ server }) => server.close()));
    this.#playing.clear();
  }

  async #portOf(issuer: Issuer): Promise<number> {
    if (issuer.issuer === 'local') return issuer.port ?? DEFAULT_PORT;
    const purpose = `issuer ${issuer.name}`;
    return (await this.#options.ports.assign([purpose])).get(purpose) ?? 0;
  }

  #clientOf(service: string): IssuerClient {
    const known = this.#secrets.get(service);
    if (known !== undefined) return known;
    const client = { clientId: `service-${service}`, clientSecret: encodeBase64Url(randomBytes(32)) };
    this.#secrets.set(service, client);
    return client;
  }
}

function clientsOf(model: Model, origin: string): string[] {
  return [...model.services.values()]
    .filter(({ egress }) => egress.some(target => target.origin === origin))
    .map(({ name }) => name);
}

function isSame(a: readonly IssuerClient[], b: readonly IssuerClient[]): boolean {
  return a.length === b.length && a.every(({ clientId }, index) => clientId === b[index]?.clientId);
}

/** Kept, so that tokens outlive a restart. */
async function openSigningKey({ stateDirectory, sealer }: LocalIssuersOptions): Promise<SigningKey> {
  const path = join(stateDirectory, 'issuer-key.sealed');
  const kept = await sealer.readFile(path, SEALED_NAME);
  if (kept !== undefined) return signingKey.parse(kept.toString('utf8'));
  const key = await generateSigningKey();
  await sealer.writeFile(path, SEALED_NAME, Buffer.from(JSON.stringify(key)));
  return key;
}
