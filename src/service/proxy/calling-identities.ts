import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { Clock } from '#base/clock';
import { callingContext, type KeyPair } from './dial.ts';

/** The certificates that a point holds at this moment (`Identities` of `#service/point`). */
export interface HeldIdentities {
  current(name: string): KeyPair | undefined;
}

export type CallingIdentity = { readonly context: SecureContext; readonly notAfterMs: number };

/** TLS contexts of a point's identities, made once per certificate and not once per connection. */
export class CallingIdentities {
  readonly #held: HeldIdentities;
  readonly #trustAnchors: readonly string[];
  readonly #clock: Clock;
  readonly #made = new Map<string, { readonly keyPair: KeyPair; readonly calling: CallingIdentity }>();

  constructor(held: HeldIdentities, trustAnchors: readonly string[], clock: Clock) {
    this.#held = held;
    this.#trustAnchors = trustAnchors;
    this.#clock = clock;
  }

  /** To call under `name`; `undefined` without a certificate that is valid now. */
  calling(name: string): CallingIdentity | undefined {
    const keyPair = this.#valid(name);
    if (keyPair === undefined) return undefined;
    const made = this.#made.get(name);
    if (made?.keyPair.certificateChainPem === keyPair.certificateChainPem) return made.calling;
    const calling = {
      context: callingContext(keyPair, this.#trustAnchors),
      notAfterMs: keyPair.notAfterMs,
    };
    this.#made.set(name, { keyPair, calling });
    return calling;
  }

  /** To be called under `name`. */
  serving(name: string): SecureContextOptions | undefined {
    const keyPair = this.#valid(name);
    if (keyPair === undefined) return undefined;
    return { cert: keyPair.certificateChainPem, key: keyPair.privateKeyPem, ca: [...this.#trustAnchors] };
  }

  #valid(name: string): KeyPair | undefined {
    const keyPair = this.#held.current(name);
    return keyPair !== undefined && keyPair.notAfterMs > this.#clock.nowMs() ? keyPair : undefined;
  }
}
