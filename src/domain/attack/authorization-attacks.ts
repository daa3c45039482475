import { METHODS, type Call, type Model, type Service } from '#domain/model';
import { examplePath, pathOutside, type PathPattern } from '#domain/path';
import { shot } from './shot.ts';
import type { Attack, Message, Probe, Shot } from './attack.ts';
import {
  describeEntry,
  edgeProbe,
  legitimate,
  messageOf,
  messageOfCall,
  type Field,
  type InboundEntry,
} from './field.ts';

const REFERENCES = ['API5:2023', 'CWE-862', 'ASVS 8.2.1', 'T1021'];

/** Every pair of services of which the first may not call the second. */
const undeclaredPair: Attack = {
  id: 'authorization/undeclared-pair',
  ring: 'authorization',
  vantage: 'service',
  title: 'calls a service that it may not call, with its own real identity',
  references: REFERENCES,
  aim: field =>
    pairs(field.model).flatMap(([caller, callee]) => {
      if (callsOf(caller, callee).length > 0) return [];
      const way = field.entries.find(entry => entry.service === callee.name);
      if (way === undefined) return [];
      return shot(undeclaredPair, {
        place: `${caller.name}/${callee.name}`,
        service: callee.name,
        target: `${caller.name} → ${callee.name}`,
        probe: asService(caller.name, callee.name, likelyMessage(field, callee)),
        control: legitimate(way),
        expect: refusal(callee),
      });
    }),
};

/** For each pair that may, a method that may not. */
const undeclaredMethod: Attack = {
  id: 'authorization/undeclared-method',
  ring: 'authorization',
  vantage: 'service',
  title: 'calls a service that it may call, with a method that it may not use',
  references: REFERENCES,
  aim: field => atDeclaredPairs(undeclaredMethod, field, httpCalls => methodOutside(httpCalls)),
};

const undeclaredPath: Attack = {
  id: 'authorization/undeclared-path',
  ring: 'authorization',
  vantage: 'service',
  title: 'calls a service that it may call, at a path that it may not use',
  references: REFERENCES,
  aim: field => atDeclaredPairs(undeclaredPath, field, httpCalls => pathOutsideOf(httpCalls)),
};

const ownAgentMethod: Attack = {
  id: 'authorization/own-agent-method',
  ring: 'authorization',
  vantage: 'service',
  title: 'asks its own agent for a method that it may not use',
  references: REFERENCES,
  aim: field => atOwnAgent(ownAgentMethod, field, httpCalls => methodOutside(httpCalls)),
};

const ownAgentPath: Attack = {
  id: 'authorization/own-agent-path',
  ring: 'authorization',
  vantage: 'service',
  title: 'asks its own agent for a path that it may not use',
  references: REFERENCES,
  aim: field => atOwnAgent(ownAgentPath, field, httpCalls => pathOutsideOf(httpCalls)),
};

/** A neighbour plays the gateway: calls what only routes may reach, with the headers that the gateway sets. */
const playsGateway: Attack = {
  id: 'authorization/plays-gateway',
  ring: 'authorization',
  vantage: 'service',
  title: "comes past the gateway to a routed service, with the gateway's own headers",
  references: ['API5:2023', 'CWE-441', 'ASVS 13.2.1'],
  aim: field =>
    field.doors.flatMap(door => {
      const callee = field.model.services.get(door.service);
      if (callee === undefined) return [];
      return [...field.model.services.values()].flatMap(caller => {
        if (caller.name === callee.name || callsOf(caller, callee).length > 0) return [];
        return shot(playsGateway, {
          place: `${caller.name}/${callee.name}`,
          service: callee.name,
          target: `${caller.name} → ${callee.name}: ${door.method} ${door.path} as if by the gateway`,
          probe: asService(
            caller.name,
            callee.name,
            messageOf(door.method, door.path, [
              ['X-Ringwall-Caller', `spiffe://${field.model.trustDomain}/ns/ringwall/sa/gateway`],
              ['X-Ringwall-Client', 'user:admin'],
              ['X-Ringwall-User', 'admin'],
            ]),
          ),
          control: legitimate(door),
          expect: { kind: 'refused', reasons: ['no-such-call'] },
        });
      });
    }),
};

/** A declared call that claims to come for a user: it passes, and nobody believes the claim. */
const claimsUser: Attack = {
  id: 'authorization/claims-user',
  ring: 'authorization',
  vantage: 'service',
  title: 'claims in a declared call to act for a user',
  references: ['CWE-290', 'API1:2023'],
  aim: field =>
    field.entries.flatMap(entry => {
      if (entry.kind !== 'inbound' || entry.call.kind !== 'http') return [];
      const probe = asService(
        entry.caller,
        entry.service,
        messageOf(entry.call.method, examplePath(entry.call.path), [
          ['X-Ringwall-User', 'admin'],
          ['X_Ringwall_User', 'admin'],
        ]),
      );
      return shot(claimsUser, {
        place: entry.service,
        service: entry.service,
        target: `${describeEntry(entry)} with X-Ringwall-User: admin`,
        probe,
        control: legitimate(entry),
        expect: { kind: 'recorded', user: '' },
      });
    }),
};

const withoutScope: Attack = {
  id: 'authorization/without-scope',
  ring: 'authorization',
  vantage: 'user',
  title: 'uses a route with a valid token that lacks its scope',
  references: ['API5:2023', 'CWE-863', 'RFC 6750 §3.1'],
  aim: field =>
    field.edgeEntries.flatMap(entry => {
      if (!field.hasTokens || entry.route.scopes.length === 0) return [];
      return shot(withoutScope, {
        place: entry.route.rule,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path} without ${entry.route.scopes.join(', ')}`,
        probe: edgeProbe(entry, messageOf(entry.method, entry.path), { kind: 'valid', scopes: [] }),
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['scope-missing'] },
      });
    }),
};

const scopePrefix: Attack = {
  id: 'authorization/scope-lookalike',
  ring: 'authorization',
  vantage: 'user',
  title: 'uses a route with scopes that only look like the one it needs',
  references: ['CWE-863', 'CWE-1289'],
  aim: field =>
    field.edgeEntries.flatMap(entry => {
      const [scope] = entry.route.scopes;
      if (!field.hasTokens || scope === undefined) return [];
      return shot(scopePrefix, {
        place: entry.route.rule,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path} with ${scope}x, ${scope.toUpperCase()}`,
        probe: edgeProbe(entry, messageOf(entry.method, entry.path), {
          kind: 'valid',
          scopes: [
            `${scope}x`,
            `x${scope}`,
            scope.toUpperCase() === scope ? `${scope}.` : scope.toUpperCase(),
          ],
        }),
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['scope-missing'] },
      });
    }),
};

export const AUTHORIZATION_ATTACKS: readonly Attack[] = [
  undeclaredPair,
  undeclaredMethod,
  undeclaredPath,
  ownAgentMethod,
  ownAgentPath,
  playsGateway,
  claimsUser,
  withoutScope,
  scopePrefix,
];

type HttpCall = Extract<Call, { kind: 'http' }>;

function pairs({ services }: Model): [caller: Service, callee: Service][] {
  const all = [...services.values()];
  return all.flatMap(caller =>
    all.filter(callee => callee !== caller).map((callee): [Service, Service] => [caller, callee]),
  );
}

function callsOf(caller: Service, callee: Service): readonly Call[] {
  return caller.calls.find(({ service }) => service === callee.name)?.calls ?? [];
}

function asService(caller: string, callee: string, message: Message): Probe {
  return { kind: 'inbound', service: callee, certificate: { kind: 'service', service: caller }, message };
}

/** A request that somebody else may make: so only the caller is wrong. */
function likelyMessage(field: Field, callee: Service): Message {
  const entry = field.inboundEntries.find(({ service }) => service === callee.name);
  if (entry !== undefined) return messageOfCall(entry.call);
  const door = field.doors.find(({ service }) => service === callee.name);
  return door === undefined ? messageOf('GET', '/') : messageOf(door.method, door.path);
}

/** A TCP service has no words for a refusal: its agent closes. */
function refusal(callee: Service): Shot['expect'] {
  return callee.protocol === 'tcp' ? { kind: 'no-session' } : { kind: 'refused', reasons: ['no-such-call'] };
}

function atDeclaredPairs(
  attack: Attack,
  field: Field,
  message: (calls: readonly HttpCall[]) => Message | undefined,
): Shot[] {
  return declaredPairs(field).flatMap(({ entry, calls }) => {
    const made = message(calls);
    if (made === undefined) return [];
    return shot(attack, {
      place: `${entry.caller}/${entry.service}`,
      service: entry.service,
      target: `${entry.caller} → ${entry.service}: ${describeMessage(made)}`,
      probe: asService(entry.caller, entry.service, made),
      control: legitimate(entry),
      expect: { kind: 'refused', reasons: ['no-such-call'] },
    });
  });
}

function atOwnAgent(
  attack: Attack,
  field: Field,
  message: (calls: readonly HttpCall[]) => Message | undefined,
): Shot[] {
  return declaredPairs(field).flatMap(({ entry, calls }) => {
    const made = message(calls);
    if (made === undefined) return [];
    return shot(attack, {
      place: `${entry.caller}/${entry.service}`,
      service: entry.caller,
      target: `${entry.caller} → its agent → ${entry.service}: ${describeMessage(made)}`,
      probe: { kind: 'outbound', caller: entry.caller, callee: entry.service, message: made },
      control: {
        kind: 'outbound',
        caller: entry.caller,
        callee: entry.service,
        message: messageOfCall(entry.call),
      },
      expect: { kind: 'refused', reasons: ['no-such-call'] },
    });
  });
}

/** Each declared pair with its first call as entry, and all of its HTTP calls. */
function declaredPairs(
  field: Field,
): { readonly entry: InboundEntry; readonly calls: readonly HttpCall[] }[] {
  return pairs(field.model).flatMap(([caller, callee]) => {
    const calls = callsOf(caller, callee).filter(call => call.kind === 'http');
    const entry = field.inboundEntries.find(way => way.caller === caller.name && way.service === callee.name);
    return calls.length === 0 || entry === undefined ? [] : [{ entry, calls }];
  });
}

/** The first call's path with a method that no call of the pair has there. */
function methodOutside(calls: readonly HttpCall[]): Message | undefined {
  const [first] = calls;
  const used = new Set(calls.map(({ method }) => method));
  // Not HEAD: the answer to it has no body, in which Ringwall could say that it was Ringwall that refused.
  const method = METHODS.find(candidate => candidate !== 'HEAD' && !used.has(candidate));
  return first === undefined || method === undefined ? undefined : messageOf(method, examplePath(first.path));
}

/** The first call's method at a path that none of its patterns matches. */
function pathOutsideOf(calls: readonly HttpCall[]): Message | undefined {
  const [first] = calls;
  if (first === undefined) return undefined;
  const patterns: PathPattern[] = calls
    .filter(({ method }) => method === first.method)
    .map(({ path }) => path);
  const path = pathOutside(patterns);
  return path === undefined ? undefined : messageOf(first.method, path);
}

function describeMessage(message: Message): string {
  return message.kind === 'request' ? `${message.method} ${message.path}` : message.kind;
}
