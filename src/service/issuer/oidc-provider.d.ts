/** The part of oidc-provider 9 that this room uses; the package ships no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  export type ProviderClient = { readonly clientId: string };

  export type ResourceServerInfo = {
    readonly scope: string;
    readonly audience: string;
    readonly accessTokenFormat: 'jwt';
    readonly accessTokenTTL: number;
    readonly jwt: { readonly sign: { readonly alg: string; readonly kid: string } };
  };

  export class ResourceServer {
    constructor(identifier: string, info: ResourceServerInfo);
    identifier(): string;
  }

  export class AccessToken {
    constructor(properties: {
      readonly accountId: string;
      readonly client: ProviderClient;
      readonly scope: string;
      readonly resourceServer: ResourceServer;
    });
    /** Seconds since the epoch. */
    iat: number;
    exp: number;
    /** The encoded token. */
    save(): Promise<string>;
  }

  export type GrantContext = {
    readonly oidc: {
      readonly params: Readonly<Record<string, string | undefined>>;
      readonly client: ProviderClient;
    };
    body: unknown;
  };

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>);
    readonly Client: { find(clientId: string): Promise<ProviderClient | undefined> };
    readonly AccessToken: typeof AccessToken;
    readonly ResourceServer: typeof ResourceServer;
    registerGrantType(
      name: string,
      handler: (context: GrantContext) => Promise<void>,
      parameters: readonly string[],
    ): void;
    on(event: 'server_error', listener: (context: unknown, error: Error) => void): this;
    callback(): (request: IncomingMessage, response: ServerResponse) => void;
  }

  export const errors: {
    readonly InvalidRequest: new (description: string) => Error;
    readonly InvalidScope: new (description: string, scope: string) => Error;
  };

  export default Provider;
}
