import type { Classification } from '#domain/rings';

/** What holds where the model says nothing, by the classification of the service: the more sensitive, the stricter. */
export const DEFAULTS = {
  public: { limit: '100/s burst 200', maxRequest: '1MiB', maxResponse: '64MiB', record: 'relaxed' },
  internal: { limit: '50/s burst 100', maxRequest: '1MiB', maxResponse: '64MiB', record: 'relaxed' },
  confidential: { limit: '20/s burst 40', maxRequest: '256KiB', maxResponse: '16MiB', record: 'durable' },
  restricted: { limit: '5/s burst 10', maxRequest: '64KiB', maxResponse: '4MiB', record: 'durable' },
} as const satisfies Readonly<
  Record<
    Classification,
    { limit: string; maxRequest: string; maxResponse: string; record: 'durable' | 'relaxed' }
  >
>;

export const DEFAULT_NAMESPACE = 'default';
export const DEFAULT_EDGE_PORT = 4443;
export const DEFAULT_ISSUER_PORT = 4445;
/** OpenID Connect Discovery 1.0 §3: RS256 is the one algorithm that every issuer has. */
export const DEFAULT_ALGORITHM = 'RS256';
export const LOCAL_ALGORITHM = 'ES256';
