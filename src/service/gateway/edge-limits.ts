import { FieldLines } from '#domain/http';
import {
  limitLabels,
  rateLimitHeaders,
  rateLimitPolicy,
  rateLimitStanding,
  retryAfterSeconds,
  type LimitTaken,
  type RateLimit,
} from '#domain/limit';
import type { BundleRoute } from '#domain/bundle';
import { accountOf, addressKey, type Lockout, type Lockouts, type RateLimiter } from '#service/identity';
import {
  ADMITTED,
  type Admission,
  type Caller,
  type Collect,
  type Exchange,
  type Stop,
} from '#service/proxy';

/** Many anonymous callers may share an address; together they get this many times what one of them gets. */
const CALLERS_PER_ADDRESS = 10;

type PlannedLimit = {
  readonly per: 'client' | 'user' | 'route';
  readonly limit: RateLimit;
  readonly addressLimit: RateLimit;
  /** Begins the keys of this limit: no two limits share a count. */
  readonly prefix: string;
  /** The keys of callers that are remembered: made once, because to join and hash a text costs more than to count. */
  readonly keys: WeakMap<Caller, string>;
};

type PlannedLockout = {
  readonly perClient: Lockout | undefined;
  readonly perAddress: Lockout | undefined;
  readonly perAccount: Lockout | undefined;
  readonly accountField: string;
  readonly prefix: string;
};

/** A route's limits and lockout, made ready when its bundle is applied. */
export type LimitPlan = {
  readonly rule: string;
  readonly limits: readonly PlannedLimit[];
  /** What answers tell of the limits: how they are called, and the part that is always the same. */
  readonly labels: readonly string[];
  readonly policy: FieldLines;
  readonly lockout: PlannedLockout | undefined;
};

type Attempt = { readonly key: string; readonly lockout: Lockout };

export function planLimits(route: BundleRoute): LimitPlan {
  const { rule, lockout } = route;
  const limits = route.limits.map(({ requests, perMs, burst, per, text }) => ({
    per,
    limit: { requests, perMs, burst },
    addressLimit: { requests: requests * CALLERS_PER_ADDRESS, perMs, burst: burst * CALLERS_PER_ADDRESS },
    prefix: `${rule}|${text}|`,
    keys: new WeakMap<Caller, string>(),
  }));
  const labels = limitLabels(limits.map(({ per }) => ({ name: per })));
  const policy =
    limits.length === 0
      ? FieldLines.NONE
      : FieldLines.of(['ratelimit-policy', rateLimitPolicy(labels, limits)]);
  const plan = { rule, limits, labels, policy };
  if (lockout === null) return { ...plan, lockout: undefined };
  const { failures, windowMs, per } = lockout;
  const client = per.includes('client');
  return {
    ...plan,
    lockout: {
      perClient: client ? { failures, windowMs, per: ['client'] } : undefined,
      // A guesser drops his anonymous id at will; the address stays.
      perAddress: client
        ? { failures: failures * CALLERS_PER_ADDRESS, windowMs, per: ['client'] }
        : undefined,
      perAccount: per.includes('account') ? { failures, windowMs, per: ['account'] } : undefined,
      accountField: lockout.accountField ?? '',
      prefix: `${rule}|lockout|`,
    },
  };
}

/** Counts requests and failures at the edge. */
export class EdgeLimits {
  readonly #rates: RateLimiter;
  readonly #lockouts: Lockouts;
  readonly #collectBytes: number;

  constructor(rates: RateLimiter, lockouts: Lockouts, collectBytes: number) {
    this.#rates = rates;
    this.#lockouts = lockouts;
    this.#collectBytes = collectBytes;
  }

  admit(x: Exchange, plan: LimitPlan, caller: Caller): Admission | Stop | Collect {
    if (plan.limits.length === 0 && plan.lockout === undefined) return ADMITTED;
    const taken: LimitTaken[] = [];
    for (const limit of plan.limits) {
      this.#take(limit, caller, x.from.address, taken);
      if (taken.at(-1)?.verdict.kind === 'limited') return limited(plan.rule, taken);
    }
    const lines = standing(plan, taken);
    const { lockout } = plan;
    if (lockout === undefined) return { kind: 'admitted', lines };
    const { method, headers: fields, framing } = x.intake.head;
    // Without a body there is no account to find in one; client and address still count.
    if (
      lockout.perAccount === undefined ||
      (framing.kind === 'none' && (method === 'GET' || method === 'HEAD'))
    ) {
      return this.#attempt(plan, lockout, caller, x.from.address, undefined, lines);
    }
    const contentType = fields.get('content-type');
    return {
      kind: 'collect',
      maxBytes: this.#collectBytes,
      decide: body => {
        const account = accountOf(body, contentType, lockout.accountField);
        if (account === undefined) {
          // Who hides the account from us would guess without being counted.
          return refused('malformed-request', plan.rule, 'the account cannot be told from the body');
        }
        return this.#attempt(plan, lockout, caller, x.from.address, account, lines);
      },
    };
  }

  /** Counts a request that shows no valid credentials on its address: guessing tokens is limited too. */
  admitAddress(x: Exchange, plan: LimitPlan): Stop | undefined {
    for (const { per, addressLimit, prefix } of plan.limits) {
      if (per === 'route') continue;
      const verdict = this.#rates.take(`${prefix}a|${addressKey(x.from.address)}`, addressLimit);
      if (verdict.kind === 'limited')
        return limited(plan.rule, [{ name: per, limit: addressLimit, verdict }]);
    }
    return undefined;
  }

  #take(planned: PlannedLimit, caller: Caller, address: string, taken: LimitTaken[]): void {
    const { per, limit, addressLimit, prefix } = planned;
    if (per === 'route') {
      taken.push({ name: per, limit, verdict: this.#rates.take(prefix, limit) });
      return;
    }
    const verdict = this.#rates.take(keyOf(planned, caller), limit);
    taken.push({ name: per, limit, verdict });
    if (caller.kind !== 'anonymous' || verdict.kind === 'limited') return;
    const together = this.#rates.take(`${prefix}a|${addressKey(address)}`, addressLimit);
    if (together.kind === 'limited') taken.push({ name: per, limit: addressLimit, verdict: together });
  }

  #attempt(
    plan: LimitPlan,
    lockout: PlannedLockout,
    caller: Caller,
    address: string,
    account: string | undefined,
    lines: FieldLines,
  ): Admission | Stop {
    const { perClient, perAddress, perAccount, prefix } = lockout;
    const wanted: Attempt[] = [];
    if (perClient !== undefined) wanted.push({ key: `${prefix}c|${caller.id}`, lockout: perClient });
    if (perAddress !== undefined && caller.kind === 'anonymous') {
      wanted.push({ key: `${prefix}a|${addressKey(address)}`, lockout: perAddress });
    }
    if (perAccount !== undefined && account !== undefined) {
      wanted.push({ key: `${prefix}n|${account}`, lockout: perAccount });
    }
    const begun: Attempt[] = [];
    for (const attempt of wanted) {
      const verdict = this.#lockouts.check(attempt.key, attempt.lockout);
      if (verdict.kind === 'open') {
        begun.push(attempt);
        continue;
      }
      for (const { key, lockout } of begun) this.#lockouts.abandoned(key, lockout);
      return {
        ...refused('locked-out', plan.rule, 'too many failures'),
        headers: [['retry-after', retryAfterSeconds(verdict.retryAfterMs)]],
      };
    }
    return { kind: 'admitted', lines, settle: status => this.#settle(begun, status) };
  }

  #settle(begun: readonly Attempt[], status: number): void {
    for (const { key, lockout } of begun) {
      if (status === 401 || status === 403) this.#lockouts.failed(key, lockout);
      else if (status >= 200 && status < 400) this.#lockouts.succeeded(key, lockout);
      else this.#lockouts.abandoned(key, lockout);
    }
  }
}

function keyOf({ prefix, keys }: PlannedLimit, caller: Caller): string {
  if (caller.kind === 'anonymous') return `${prefix}c|${caller.id}`;
  let key = keys.get(caller);
  if (key === undefined) keys.set(caller, (key = `${prefix}c|${caller.id}`));
  return key;
}

function standing({ labels, policy }: LimitPlan, taken: readonly LimitTaken[]): FieldLines {
  if (taken.length === 0) return FieldLines.NONE;
  return policy.and(FieldLines.of(['ratelimit', rateLimitStanding(labels, taken)]));
}

function limited(rule: string, taken: readonly LimitTaken[]): Stop {
  const headers = rateLimitHeaders(taken);
  const detail = taken.at(-1)?.name ?? '';
  return { ...refused('rate-limited', rule, `limit per ${detail}`), headers };
}

function refused(
  reason: Stop['reason'],
  nearest: string,
  detail: string,
): Stop & { readonly detail: string } {
  return { kind: 'refused', reason, nearest, detail };
}
