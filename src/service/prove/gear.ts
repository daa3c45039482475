import type { CertificateRecipe, TlsRecipe } from '#domain/attack';
import type { Grounds } from './grounds.ts';
import type { TokenSmith } from './tokens.ts';
import type { WireOptions } from './wire.ts';

/** What the probes that need several connections are given. */
export interface Gear {
  readonly grounds: Grounds;
  readonly tokens: TokenSmith;
  /** The TLS side of a client of the gateway. */
  edgeWire(host: string, tls?: TlsRecipe): WireOptions;
  /** The TLS side of a peer of a service's agent. */
  inboundWire(service: string, certificate: CertificateRecipe, tls?: TlsRecipe): Promise<WireOptions>;
}
