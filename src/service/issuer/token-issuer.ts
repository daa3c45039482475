import type { GrantContext, Provider, ProviderClient } from 'oidc-provider';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { isIdentifier, isScopeName } from '#domain/jwt';
import { IssuerError } from './issuer-error.ts';
import type { SigningKey } from './signing-key.ts';

/** The grant by which a service that has checked a user's password obtains a token that names him. */
export const LOCAL_USER_GRANT = 'urn:ringwall:params:oauth:grant-type:local-user';
/** The client in whose name tokens are issued within the process. */
const OWN_CLIENT = 'ringwall';
const RESOURCE = 'urn:ringwall:local-audience';
const LIFETIME_SECONDS = 600;
const MAX_SCOPES = 64;

/** A service that may sign users in. */
export type IssuerClient = { readonly clientId: string; readonly clientSecret: string };

export type TokenRequest = {
  readonly user: string;
  readonly scopes: readonly string[];
  /** Default 600; a negative one makes a token that has expired already. */
  readonly lifetimeSeconds?: number;
  /** Default: the audience of the issuer. */
  readonly audience?: string;
};

export type IssuedToken = {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly scope: string;
};

export type TokenIssuerOptions = {
  readonly issuer: string;
  readonly audience: string;
  readonly clients: readonly IssuerClient[];
  /** The first one signs; all are published. */
  readonly signingKeys: readonly [SigningKey, ...SigningKey[]];
  readonly clock: Clock;
  readonly log: Log;
};

/** One configuration of oidc-provider: its keys are fixed, so that a change of keys makes a new one. */
export type TokenIssuer = {
  readonly handle: ReturnType<Provider['callback']>;
  readonly issue: (request: TokenRequest) => Promise<IssuedToken>;
};

export async function createTokenIssuer(options: TokenIssuerOptions): Promise<TokenIssuer> {
  // Loaded here: only the process that runs an issuer pays for it.
  const { Provider, errors } = await import('oidc-provider');
  const provider = new Provider(options.issuer, configurationOf(options));

  const mint = async (client: ProviderClient, request: TokenRequest): Promise<IssuedToken> => {
    const lifetimeSeconds = request.lifetimeSeconds ?? LIFETIME_SECONDS;
    const scope = request.scopes.join(' ');
    const token = new provider.AccessToken({
      accountId: request.user,
      client,
      scope,
      resourceServer: new provider.ResourceServer(RESOURCE, {
        scope,
        audience: request.audience ?? options.audience,
        accessTokenFormat: 'jwt',
        accessTokenTTL: LIFETIME_SECONDS,
        jwt: { sign: { alg: 'ES256', kid: options.signingKeys[0].kid } },
      }),
    });
    const nowSeconds = Math.floor(options.clock.nowMs() / 1000);
    token.exp = nowSeconds + lifetimeSeconds;
    token.iat = Math.min(nowSeconds, token.exp);
    return { accessToken: await token.save(), expiresInSeconds: lifetimeSeconds, scope };
  };

  const clientIds = new Set([OWN_CLIENT, ...options.clients.map(({ clientId }) => clientId)]);
  provider.registerGrantType(
    LOCAL_USER_GRANT,
    async (context: GrantContext) => {
      const { username, scope = '' } = context.oidc.params;
      const scopes = scope === '' ? [] : scope.split(' ');
      if (!isIdentifier(username)) {
        throw new errors.InvalidRequest('username must be 1 to 255 printable ASCII characters');
      }
      // RFC 9068 §5: a user named like a client would be taken for that client.
      if (clientIds.has(username)) {
        throw new errors.InvalidRequest('username must not be the name of a client');
      }
      if (!areScopes(scopes)) throw new errors.InvalidScope('scope must be a list of scope names', scope);
      const issued = await mint(context.oidc.client, { user: username, scopes });
      context.body = {
        access_token: issued.accessToken,
        token_type: 'Bearer',
        expires_in: issued.expiresInSeconds,
        scope: issued.scope === '' ? undefined : issued.scope,
      };
    },
    ['username', 'scope'],
  );
  provider.on('server_error', (_context, error) => {
    options.log.error('the local issuer failed', { error: error.message });
  });

  return {
    handle: provider.callback(),
    issue: async request => {
      if (!isIdentifier(request.user)) {
        throw new IssuerError('bad-user', 'a user name is 1 to 255 printable ASCII characters');
      }
      if (!areScopes(request.scopes)) {
        throw new IssuerError(
          'bad-scope',
          'a scope is 1 to 255 printable ASCII characters without space, quote and backslash',
        );
      }
      const client = await provider.Client.find(OWN_CLIENT);
      if (client === undefined) throw new TypeError('the own client is not registered');
      return mint(client, request);
    },
  };
}

function areScopes(scopes: readonly string[]): boolean {
  return scopes.length <= MAX_SCOPES && scopes.every(isScopeName);
}

/** Everything off but client authentication, the one grant, discovery and keys. */
function configurationOf(options: TokenIssuerOptions): Readonly<Record<string, unknown>> {
  const machine = { redirect_uris: [], response_types: [] };
  const off = { enabled: false };
  return {
    adapter: NoStorage,
    jwks: { keys: options.signingKeys.map(key => ({ ...key, alg: 'ES256', use: 'sig' })) },
    clients: [
      ...options.clients.map(client => ({
        ...machine,
        client_id: client.clientId,
        client_secret: client.clientSecret,
        grant_types: [LOCAL_USER_GRANT],
        token_endpoint_auth_method: 'client_secret_basic',
      })),
      { ...machine, client_id: OWN_CLIENT, grant_types: [], token_endpoint_auth_method: 'none' },
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    clientAuthMethods: ['client_secret_basic', 'none'],
    findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    clientBasedCORS: () => false,
    features: {
      devInteractions: off,
      dPoP: off,
      pushedAuthorizationRequests: off,
      resourceIndicators: off,
      rpInitiatedLogout: off,
      userinfo: off,
    },
    responseTypes: [],
    routes: { jwks: '/jwks', token: '/token' },
    scopes: [],
    ttl: { AccessToken: LIFETIME_SECONDS },
  };
}

/** Nothing is kept: tokens are self-contained, clients are given at the start. */
class NoStorage {
  find(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  upsert(): Promise<void> {
    return Promise.resolve();
  }

  destroy(): Promise<void> {
    return Promise.resolve();
  }
}
