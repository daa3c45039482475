import type { Clock } from '#base/clock';
import type { HeaderList } from '#domain/http';
import type { AgentPolicy, Permit } from '#domain/policy';
import {
  ADMITTED,
  Caller,
  refuseRevoked,
  type Admission,
  type Destination,
  type Engine,
  type Exchange,
  type Hop,
  type Peer,
  type Stop,
} from '#service/proxy';

type Series = Destination['series'];

const NOTHING: readonly string[] = [];
/** What the gateway tells of the client behind a request. From anybody else it would be a claim. */
const TOLD_BY_GATEWAY: readonly string[] = [
  'x-ringwall-client',
  'x-ringwall-user',
  'x-ringwall-issuer',
  'x-ringwall-scopes',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
];

type HopParts = {
  readonly policy: AgentPolicy;
  /** The service beside which the hop stands. */
  readonly service: string;
  readonly destination: Destination;
  /** What is revoked at this moment. */
  readonly revoked: () => Engine['revoked'];
};

/** What the three hops of an agent have in common: one destination each, and no limits of their own. */
abstract class ServiceHop implements Hop {
  abstract readonly direction: Hop['direction'];
  readonly believesCaller = true;
  readonly series: Series;
  protected readonly policy: AgentPolicy;
  protected readonly service: string;
  readonly #destination: Destination;
  readonly #revoked: HopParts['revoked'];

  constructor({ policy, service, destination, revoked }: HopParts) {
    this.policy = policy;
    this.service = service;
    this.#destination = destination;
    this.series = destination.series;
    this.#revoked = revoked;
  }

  abstract identify(x: Exchange): Caller | Stop;
  protected abstract decide(x: Exchange, caller: Caller): Permit | Stop;
  abstract dressRequest(headers: HeaderList, x: Exchange, caller: Caller): void;

  route(): Destination {
    return this.#destination;
  }

  limit(): Admission {
    return ADMITTED;
  }

  authorize(x: Exchange, { callee }: Destination, caller: Caller): Permit | Stop {
    return refuseRevoked(this.#revoked(), caller.identity, callee) ?? this.decide(x, caller);
  }

  believedFields(_caller: Caller): readonly string[] {
    return NOTHING;
  }

  dressAnswer(): void {}
}

/** Calls from other points to a service: mTLS in, plaintext to the service. */
export class InboundHop extends ServiceHop {
  readonly direction = 'inbound';
  readonly #clock: Clock;
  readonly #gateway: string;
  readonly #callers = new WeakMap<Peer, Caller>();

  /** @param parts `gateway`: its SPIFFE ID */
  constructor(parts: HopParts & { readonly clock: Clock; readonly gateway: string }) {
    super(parts);
    this.#clock = parts.clock;
    this.#gateway = parts.gateway;
  }

  identify(x: Exchange): Caller | Stop {
    const { peer } = x.from;
    if (peer === undefined || peer.notAfterMs <= this.#clock.nowMs()) {
      // A connection may outlive the certificate that it began with; what it may do does not.
      return {
        kind: 'refused',
        reason: 'peer-unverified',
        nearest: '',
        detail: 'the certificate of the peer has expired',
      };
    }
    let caller = this.#callers.get(peer);
    if (caller === undefined) this.#callers.set(peer, (caller = Caller.peer(peer)));
    return caller;
  }

  protected decide(x: Exchange, caller: Caller): Permit | Stop {
    return this.policy.inbound(this.service, caller.identity, x.method, x.path);
  }

  override believedFields(caller: Caller): readonly string[] {
    return caller.identity === this.#gateway ? TOLD_BY_GATEWAY : NOTHING;
  }

  dressRequest(headers: HeaderList, _x: Exchange, caller: Caller): void {
    headers.add(caller.lines);
  }
}

/** A service's calls to a callee: plaintext from the service, mTLS to the callee's agent. */
export class OutboundHop extends ServiceHop {
  readonly direction = 'outbound';
  readonly #caller: Caller;
  readonly #callee: string;

  constructor(parts: HopParts & { readonly identity: string; readonly callee: string }) {
    super(parts);
    this.#caller = Caller.ownService(parts.identity);
    this.#callee = parts.callee;
  }

  identify(): Caller {
    return this.#caller;
  }

  protected decide(x: Exchange): Permit | Stop {
    return this.policy.outbound(this.service, this.#callee, x.method, x.path);
  }

  dressRequest(): void {}
}

/** A service's requests to an origin outside of the system. */
export class EgressHop extends ServiceHop {
  readonly direction = 'egress';
  readonly #caller: Caller;
  readonly #origin: string;

  constructor(parts: HopParts & { readonly identity: string; readonly origin: string }) {
    super(parts);
    this.#caller = Caller.ownService(parts.identity);
    this.#origin = parts.origin;
  }

  identify(): Caller {
    return this.#caller;
  }

  protected decide(): Permit | Stop {
    return this.policy.egress(this.service, this.#origin);
  }

  dressRequest(): void {}
}
