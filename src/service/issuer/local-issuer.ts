import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { hasCode } from '#base/error';
import { IssuerError } from './issuer-error.ts';
import {
  createTokenIssuer,
  type IssuedToken,
  type TokenIssuer,
  type TokenIssuerOptions,
  type TokenRequest,
} from './token-issuer.ts';

/** What can change while an issuer answers. */
export type IssuerSettings = Pick<TokenIssuerOptions, 'audience' | 'clients' | 'signingKeys'>;

export type LocalIssuer = {
  /** The exact `iss` of its tokens: `http://127.0.0.1:<port>`. */
  readonly issuer: string;
  readonly port: number;
  /**
   * Issues an access token without a client; for the operator at the command line and for proofs.
   *
   * @throws {IssuerError} `bad-user`, `bad-scope`
   */
  readonly issueToken: (request: TokenRequest) => Promise<IssuedToken>;
  /** Goes on with other settings, on the same port. Of keys, the first signs; one that is left out is withdrawn. */
  readonly change: (to: Partial<IssuerSettings>) => Promise<void>;
  readonly close: () => Promise<void>;
};

const HOST = '127.0.0.1';
const PATHS: ReadonlySet<string> = new Set([
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
  '/jwks',
  '/token',
]);

/**
 * Starts the issuer of local runs on loopback. Not for production: it believes every client about who the user is, and
 * speaks plain HTTP.
 *
 * @param options.port 0 takes any free one
 * @param options.signingKeys from `generateSigningKey`, kept by the caller so that tokens outlive a restart
 * @throws {IssuerError} `port-taken`
 */
export async function startIssuer(
  options: IssuerSettings & {
    readonly port: number;
    readonly clock: Clock;
    readonly log: Log;
  },
): Promise<LocalIssuer> {
  let current: TokenIssuer | undefined;
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (current === undefined || !PATHS.has(path)) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n');
      return;
    }
    // The documents must say the same to whoever asks, by whatever name he came.
    request.headers.host = `${HOST}:${port}`;
    current.handle(request, response);
  });
  server.headersTimeout = 5000;
  server.requestTimeout = 10_000;
  const port = await listen(server, options.port);

  const issuer = `http://${HOST}:${port}`;
  const { audience, clients, signingKeys, clock, log } = options;
  let settings: IssuerSettings = { audience, clients, signingKeys };
  const close = async (): Promise<void> => {
    const closed = new Promise<void>(resolve => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  };
  let active: TokenIssuer;
  try {
    active = current = await createTokenIssuer({ issuer, clock, log, ...settings });
  } catch (error) {
    await close();
    throw error;
  }

  log.info('the built-in issuer answers; it is not for production', { issuer });
  return {
    issuer,
    port,
    issueToken: request => active.issue(request),
    change: async to => {
      const next = { ...settings, ...to };
      active = current = await createTokenIssuer({ issuer, clock, log, ...next });
      settings = next;
    },
    close,
  };
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, HOST, () => {
      server.off('error', reject);
      resolve();
    });
  }).catch((error: unknown) => {
    if (!hasCode(error, 'EADDRINUSE')) throw error;
    throw new IssuerError('port-taken', `port ${port} on ${HOST} is taken by another process`);
  });
  return (server.address() as AddressInfo).port;
}
