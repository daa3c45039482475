import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { encodeBase64Url } from '#base/bytes';
import type { Clock } from '#base/clock';
import { hasCode, quote } from '#base/error';
import type { Log } from '#base/log';
import { closed, compileSchema, Type } from '#base/schema';
import type { ServicePlacement } from '#domain/compile';
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
import { UpError } from './up-error.ts';

export type LocalIssuersOptions = {
  readonly stateDirectory: string;
  readonly sealer: Sealer;
  readonly ports: PortBook;
  /** Also play issuers that stand elsewhere. */
  readonly standIns: boolean;
  readonly clock: Clock;
  readonly log: Log;
};

type Playing = {
  readonly issuer: Issuer;
  clients: readonly IssuerClient[];
  readonly server: LocalIssuer;
};

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

  /**
   * Starts what `model` needs beside what plays already, which stays as it is but for new clients.
   *
   * @throws {UpError} `port-taken`
   */
  async start(model: Model): Promise<void> {
    for (const issuer of model.issuers.filter(each => this.isPlayed(each))) {
      const playing = this.#playing.get(keyOf(issuer));
      if (playing === undefined) {
        this.#playing.set(keyOf(issuer), await this.#play(issuer, model));
        continue;
      }
      const known = new Set(playing.clients.map(({ clientId }) => clientId));
      const more = this.#clientsOf(model, playing.server.issuer).filter(
        ({ clientId }) => !known.has(clientId),
      );
      await useClients(playing, [...playing.clients, ...more]);
    }
  }

  /** Ends what `model` does not need any more. */
  async settle(model: Model): Promise<void> {
    const wanted = new Map(
      model.issuers.filter(each => this.isPlayed(each)).map(each => [keyOf(each), each]),
    );
    for (const [key, playing] of this.#playing) {
      const issuer = wanted.get(key);
      if (issuer === undefined) {
        this.#playing.delete(key);
        await playing.server.close();
        continue;
      }
      await useClients(playing, this.#clientsOf(model, playing.server.issuer));
      if (issuer.audience !== playing.issuer.audience) {
        await playing.server.change({ audience: issuer.audience });
      }
      this.#playing.set(key, { ...playing, issuer });
    }
  }

  isPlayed({ issuer }: Issuer): boolean {
    return issuer === 'local' || this.#options.standIns;
  }

  /** Where an issuer of the model answers here; `undefined` when it is not played. */
  urlOf(issuer: Issuer): string | undefined {
    return this.#playing.get(keyOf(issuer))?.server.issuer;
  }

  /** What an issuer signs with; one that is played signs as the built-in issuer does. */
  algorithmOf(issuer: Issuer): Issuer['algorithm'] {
    return this.isPlayed(issuer) ? 'ES256' : issuer.algorithm;
  }

  /** The issuer that `ringwall token` asks. */
  get source(): TokenSource | undefined {
    const playing = [...this.#playing.values()];
    const { server } = playing.find(({ issuer }) => issuer.issuer === 'local') ?? playing[0] ?? {};
    return server;
  }

  /** What a service that may reach a local issuer is told of it, to sign users in. */
  variablesOf(service: Service, place: ServicePlacement): Readonly<Record<string, string>> {
    for (const { server } of this.#playing.values()) {
      const address = place.egress.get(server.issuer);
      if (address === undefined) continue;
      const { clientId, clientSecret } = this.#clientOf(service.name);
      return {
        RINGWALL_ISSUER_URL: `http://${address.host}:${address.port}`,
        RINGWALL_ISSUER_CLIENT_ID: clientId,
        RINGWALL_ISSUER_CLIENT_SECRET: clientSecret,
      };
    }
    return {};
  }

  async close(): Promise<void> {
    await Promise.all([...this.#playing.values()].map(async ({ server }) => server.close()));
    this.#playing.clear();
  }

  async #play(issuer: Issuer, model: Model): Promise<Playing> {
    const port = await this.#portOf(issuer);
    const clients = this.#clientsOf(model, `http://127.0.0.1:${port}`);
    const { clock, log } = this.#options;
    try {
      const { audience } = issuer;
      const server = await startIssuer({ port, audience, clients, signingKeys: [this.#key], clock, log });
      return { issuer, clients, server };
    } catch (error) {
      if (!hasCode(error, 'port-taken')) throw error;
      throw portTaken(issuer, port, clientsOf(model, `http://127.0.0.1:${port}`));
    }
  }

  async #portOf(issuer: Issuer): Promise<number> {
    if (issuer.port !== undefined) return issuer.port;
    const purpose = `issuer ${issuer.name}`;
    return (await this.#options.ports.assign([purpose])).get(purpose) ?? 0;
  }

  #clientsOf(model: Model, origin: string): IssuerClient[] {
    return clientsOf(model, origin).map(name => this.#clientOf(name));
  }

  #clientOf(service: string): IssuerClient {
    const known = this.#secrets.get(service);
    if (known !== undefined) return known;
    const client = { clientId: `service-${service}`, clientSecret: encodeBase64Url(randomBytes(32)) };
    this.#secrets.set(service, client);
    return client;
  }
}

/** There is one local issuer in a model, and it may change its name while it runs. */
function keyOf({ issuer, name, port }: Issuer): string {
  return issuer === 'local' ? `local ${port}` : name;
}

function clientsOf(model: Model, origin: string): string[] {
  return [...model.services.values()]
    .filter(({ egress }) => egress.some(target => target.origin === origin))
    .map(({ name }) => name);
}

async function useClients(playing: Playing, clients: readonly IssuerClient[]): Promise<void> {
  const isSame =
    clients.length === playing.clients.length &&
    clients.every(({ clientId }, index) => clientId === playing.clients[index]?.clientId);
  if (isSame) return;
  await playing.server.change({ clients });
  playing.clients = clients;
}

function portTaken({ at, name }: Issuer, port: number, callers: readonly string[]): UpError {
  const egress = callers.length === 0 ? '' : `, and the \`egress\` of ${callers.join(', ')} with it`;
  return new UpError(
    'port-taken',
    `${at.file}:${at.line}:${at.column}: port ${port} on 127.0.0.1, where the local issuer ${quote(name)} is to answer, ` +
      `is taken by another process; stop that one, or change the issuer's \`port:\`${egress}`,
  );
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
