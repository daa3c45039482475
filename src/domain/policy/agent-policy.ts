import type { AgentBundle, AgentService } from '#domain/bundle';
import { CallTable } from './call-table.ts';
import { mintPermit, refuse, type Permit, type Refusal } from './permit.ts';

/** What an agent decides. `connect…` is for TCP services; all paths are normalised, all identities verified. */
export type AgentPolicy = {
  /** May `caller` (a SPIFFE ID) make this call to `service`, which stands beside this agent? */
  readonly inbound: (service: string, caller: string, method: string, path: string) => Permit | Refusal;
  readonly connectInbound: (service: string, caller: string) => Permit | Refusal;
  /** May `service`, which stands beside this agent, make this call to `callee` (a service name)? */
  readonly outbound: (service: string, callee: string, method: string, path: string) => Permit | Refusal;
  readonly connectOutbound: (service: string, callee: string) => Permit | Refusal;
  /** May `service` reach `origin` outside of the system? */
  readonly egress: (service: string, origin: string) => Permit | Refusal;
  readonly isRevoked: (identity: string) => boolean;
};

type Decide = (calls: CallTable) => Permit | Refusal;

type Beside = {
  readonly identity: string;
  readonly callers: ReadonlyMap<string, CallTable>;
  readonly callees: ReadonlyMap<string, { readonly identity: string; readonly calls: CallTable }>;
  readonly egress: ReadonlyMap<string, Permit>;
};

export function compileAgentPolicy(bundle: AgentBundle): AgentPolicy {
  const services = new Map(bundle.services.map(service => [service.name, compileBeside(service)]));
  const revoked = new Set(bundle.revoked.identities);

  const decideInbound = (service: string, caller: string, decide: Decide): Permit | Refusal => {
    const beside = services.get(service);
    if (beside === undefined) return refuse('no-such-call');
    if (revoked.has(caller)) return refuse('caller-revoked');
    if (revoked.has(beside.identity)) return refuse('callee-revoked');
    const calls = beside.callers.get(caller);
    return calls === undefined ? refuse('no-such-call') : decide(calls);
  };

  const decideOutbound = (service: string, callee: string, decide: Decide): Permit | Refusal => {
    const beside = services.get(service);
    if (beside === undefined) return refuse('no-such-call');
    if (revoked.has(beside.identity)) return refuse('caller-revoked');
    const target = beside.callees.get(callee);
    if (target === undefined) return refuse('no-such-call');
    return revoked.has(target.identity) ? refuse('callee-revoked') : decide(target.calls);
  };

  return {
    inbound: (service, caller, method, path) =>
      decideInbound(service, caller, calls => calls.decide(method, path)),
    connectInbound: (service, caller) => decideInbound(service, caller, calls => calls.decideConnect()),
    outbound: (service, callee, method, path) =>
      decideOutbound(service, callee, calls => calls.decide(method, path)),
    connectOutbound: (service, callee) => decideOutbound(service, callee, calls => calls.decideConnect()),
    egress: (service, origin) => {
      const beside = services.get(service);
      if (beside === undefined) return refuse('no-such-call');
      if (revoked.has(beside.identity)) return refuse('caller-revoked');
      return beside.egress.get(origin) ?? refuse('no-such-call');
    },
    isRevoked: identity => revoked.has(identity),
  };
}

function compileBeside(service: AgentService): Beside {
  return {
    identity: service.identity,
    callers: new Map(service.callers.map(({ identity, calls }) => [identity, new CallTable(calls)])),
    callees: new Map(
      service.outbound.map(({ to, calls }) => [
        to.service,
        { identity: to.identity, calls: new CallTable(calls) },
      ]),
    ),
    egress: new Map(service.egress.map(({ origin, rule }) => [origin, mintPermit(rule)])),
  };
}
