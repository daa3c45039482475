import { FieldLines, type HeaderList } from '#domain/http';
import type { EdgePolicy, EdgeRoute, Permit } from '#domain/policy';
import {
  ANONYMOUS_COOKIE,
  ANONYMOUS_HEADER,
  type AnonymousIds,
  type TokenVerdict,
  type TokenVerifier,
  type UserIdentity,
} from '#service/identity';
import {
  Caller,
  refuseRevoked,
  type Admission,
  type Collect,
  type Destination,
  type Engine,
  type Exchange,
  type Hop,
  type Stop,
} from '#service/proxy';
import type { EdgeLimits, LimitPlan } from './edge-limits.ts';

/** A route of the edge with what its stages need. */
export type EdgeDestination = Destination & {
  readonly match: EdgeRoute;
  readonly plan: LimitPlan;
  readonly admitsAnonymous: boolean;
};

export type EdgeParts = {
  readonly policy: EdgePolicy;
  readonly destinationOf: (match: EdgeRoute) => EdgeDestination;
  /** Hosts of the bundle. */
  readonly hosts: ReadonlySet<string>;
  readonly tokens: TokenVerifier;
  readonly anonymous: AnonymousIds;
  readonly limits: EdgeLimits;
  /** What is revoked at this moment. */
  readonly revoked: () => Engine['revoked'];
  readonly series: Destination['series'];
};

const NOTHING: readonly never[] = [];
const HSTS = FieldLines.of(['strict-transport-security', 'max-age=31536000']);
const BEARER = /^bearer +/i;
// Browsers send a cookie without a name as its value alone (RFC 6265bis): `=a=b` comes back as `a=b`.
const SET_COOKIE_NAME = /^[\s=]*([^\s=;]*)/;

/** The way in from outside, under one bundle. */
export class EdgeHop implements Hop<EdgeDestination> {
  readonly direction = 'edge';
  readonly believesCaller = false;
  readonly series: Destination['series'];
  readonly #parts: EdgeParts;
  /** One caller per verified token, as long as the verifier remembers the token. */
  readonly #callers = new WeakMap<UserIdentity, Caller>();

  /** What the callee is told of a connection; its requests nearly always name the same authority. */
  readonly #forwarded = new WeakMap<Exchange['from'], { authority: string; lines: FieldLines }>();

  constructor(parts: EdgeParts) {
    this.#parts = parts;
    this.series = parts.series;
  }

  route(x: Exchange, path: string): EdgeDestination | Stop {
    const { host } = x.intake.head;
    const { serverName } = x.from;
    // RFC 9110 §7.4: a connection made for one of our hosts is not used to reach another.
    if (serverName !== host && this.#parts.hosts.has(serverName)) {
      return {
        kind: 'refused',
        reason: 'unknown-host',
        nearest: '',
        detail: 'the TLS server name is another host',
      };
    }
    const match = this.#parts.policy.route(host, x.method, path);
    if (match.kind === 'route') return this.#parts.destinationOf(match);
    if (match.allow.length === 0) return match;
    return {
      kind: 'refused',
      reason: match.reason,
      nearest: match.nearest,
      headers: [['allow', match.allow.join(', ')]],
    };
  }

  identify(x: Exchange, destination: EdgeDestination): Caller | Stop | Promise<Caller | Stop> {
    const { headers } = x.intake.head;
    const authorization = headers.get('authorization');
    if (authorization === undefined) return this.#identifyAnonymous(x, destination);
    const scheme = BEARER.exec(authorization);
    if (scheme === null) return this.#unproven(x, destination, 'token-malformed', 'not a Bearer credential');
    const verdict = this.#parts.tokens.verify(authorization.slice(scheme[0].length));
    return verdict instanceof Promise
      ? verdict.then(late => this.#callerOf(x, destination, late))
      : this.#callerOf(x, destination, verdict);
  }

  limit(x: Exchange, destination: EdgeDestination, caller: Caller): Admission | Stop | Collect {
    return this.#parts.limits.admit(x, destination.plan, caller);
  }

  authorize(_x: Exchange, destination: EdgeDestination, caller: Caller): Permit | Stop {
    const revoked = refuseRevoked(this.#parts.revoked(), caller.identity, destination.callee);
    if (revoked !== undefined) return revoked;
    const decision = this.#parts.policy.authorize(destination.match, caller.facts);
    if (decision.kind === 'permit' || decision.reason !== 'scope-missing') return decision;
    // RFC 6750 §3.1
    const scope = destination.match.route.scopes.join(' ');
    return {
      ...decision,
      headers: [['www-authenticate', `Bearer error="insufficient_scope", scope="${scope}"`]],
    };
  }

  believedFields(): readonly string[] {
    return NOTHING;
  }

  dressRequest(headers: HeaderList, x: Exchange, caller: Caller): void {
    // The token has done its work; a service that is broken into must not find it.
    headers.remove('authorization');
    removeAnonymousCookie(headers);
    headers.add(caller.lines);
    headers.add(this.#forwardedLines(x.from, x.intake.head.authority));
  }

  dressAnswer(headers: HeaderList): void {
    headers.remove('server');
    headers.remove('x-powered-by');
    headers.remove('strict-transport-security');
    headers.add(HSTS);
    dropAnonymousCookie(headers);
  }

  #forwardedLines(from: Exchange['from'], authority: string): FieldLines {
    let known = this.#forwarded.get(from);
    if (known?.authority !== authority) {
      const lines = FieldLines.of(
        ['x-forwarded-for', from.address],
        ['x-forwarded-proto', 'https'],
        ['x-forwarded-host', authority],
      );
      this.#forwarded.set(from, (known = { authority, lines }));
    }
    return known.lines;
  }

  #identifyAnonymous(x: Exchange, destination: EdgeDestination): Caller | Stop {
    if (!destination.admitsAnonymous) {
      return this.#unproven(x, destination, 'credentials-missing', 'no Authorization field');
    }
    const { headers } = x.intake.head;
    const known = this.#parts.anonymous.identify(
      headers.get('cookie'),
      headers.get(ANONYMOUS_HEADER),
      x.from.address,
    );
    if (known.setCookie !== undefined && known.token !== undefined) {
      x.greeting = [
        ['set-cookie', known.setCookie],
        [ANONYMOUS_HEADER, known.token],
      ];
    }
    return Caller.anonymous(known.id);
  }

  #callerOf(x: Exchange, destination: EdgeDestination, verdict: TokenVerdict): Caller | Stop {
    if (verdict.kind === 'refused') return this.#unproven(x, destination, verdict.reason, verdict.detail);
    let caller = this.#callers.get(verdict.user);
    if (caller === undefined) this.#callers.set(verdict.user, (caller = Caller.user(verdict.user)));
    return caller;
  }

  #unproven(x: Exchange, { plan }: EdgeDestination, reason: Stop['reason'], detail: string): Stop {
    return (
      this.#parts.limits.admitAddress(x, plan) ?? { kind: 'refused', reason, nearest: plan.rule, detail }
    );
  }
}

/** A service that sets it would choose under whose id, and within whose limits, its callers come back. */
function dropAnonymousCookie(headers: HeaderList): void {
  if (!headers.has('set-cookie')) return;
  const cookies = headers.all('set-cookie');
  const kept = cookies.filter(cookie => SET_COOKIE_NAME.exec(cookie)?.[1] !== ANONYMOUS_COOKIE);
  if (kept.length === cookies.length) return;
  headers.remove('set-cookie');
  for (const cookie of kept) headers.push('set-cookie', cookie);
}

/** The id is its owner's credential: the services are told the id (`x-ringwall-client`), not the proof of it. */
function removeAnonymousCookie(headers: HeaderList): void {
  const cookies = headers.get('cookie');
  if (cookies === undefined || !cookies.includes(ANONYMOUS_COOKIE)) return;
  const kept = cookies.split(';').filter(pair => !pair.trimStart().startsWith(ANONYMOUS_COOKIE));
  const rest = kept.join(';').trim();
  if (rest === '') headers.remove('cookie');
  else headers.set('cookie', rest);
}
