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
  type Entry,
  type Field,
} from './field.ts';

const REFERENCES = ['API5:2023', 'CWE-862', 'ASVS 8.2.1', 'T1021'];

/** What a service asks of another against the model, and the way between them that is open. */
type Forbidden = { readonly message: Message; readonly way: Entry };

const FORBIDDEN: readonly {
  readonly name: string;
  readonly title: string;
  readonly references: readonly string[];
  /** Whom the service asks: the agent of the other, with its real identity, or its own. */
  readonly of: 'callee' | 'own-agent';
  /** `undefined` where this pair gives no target. */
  readonly ask: (field: Field, caller: Service, callee: Service) => Forbidden | undefined;
}[] = [
  {
    name: 'undeclared-pair',
    title: 'calls a service that it may not call, with its own real identity',
    references: REFERENCES,
    of: 'callee',
    ask: (field, caller, callee) => {
      const way = field.entries.find(({ service }) => service === callee.name);
      if (way === undefined || callsOf(caller, callee).length > 0) return undefined;
      // A request that somebody else may make: so only the caller is wrong.
      return { message: messageOfEntry(way), way };
    },
  },
  {
    name: 'undeclared-method',
    title: 'calls a service that it may call, with a method that it may not use',
    references: REFERENCES,
    of: 'callee',
    ask: besideItsCalls(methodOutside),
  },
  {
    name: 'undeclared-path',
    title: 'calls a service that it may call, at a path that it may not use',
    references: REFERENCES,
    of: 'callee',
    ask: besideItsCalls(pathOutsideOf),
  },
  {
    name: 'own-agent-method',
    title: 'asks its own agent for a method that it may not use',
    references: REFERENCES,
    of: 'own-agent',
    ask: besideItsCalls(methodOutside),
  },
  {
    name: 'own-agent-path',
    title: 'asks its own agent for a path that it may not use',
    references: REFERENCES,
    of: 'own-agent',
    ask: besideItsCalls(pathOutsideOf),
  },
  {
    name: 'plays-gateway',
    title: "comes past the gateway to a routed service, with the gateway's own headers",
    references: ['API5:2023', 'CWE-441', 'ASVS 13.2.1'],
    of: 'callee',
    ask: (field, caller, callee) => {
      const way = field.doors.find(({ service }) => service === callee.name);
      if (way === undefined || callsOf(caller, callee).length > 0) return undefined;
      const message = messageOf(way.method, way.path, [
        ['X-Ringwall-Caller', `spiffe://${field.model.trustDomain}/ns/ringwall/sa/gateway`],
        ['X-Ringwall-Client', 'user:admin'],
        ['X-Ringwall-User', 'admin'],
      ]);
      return { message, way };
    },
  },
];

const forbidden = FORBIDDEN.map(({ name, title, references, of, ask }) => {
  const attack: Attack = {
    id: `authorization/${name}`,
    ring: 'authorization',
    vantage: 'service',
    title,
    references,
    aim: field =>
      pairs(field.model).flatMap(([caller, callee]) => {
        const asked = ask(field, caller, callee);
        if (asked === undefined) return [];
        const { message, way } = asked;
        const place = `${caller.name}/${callee.name}`;
        if (of === 'callee') {
          return shot(attack, {
            place,
            service: callee.name,
            target: `${caller.name} → ${callee.name}: ${describeMessage(message)}`,
            probe: asService(caller.name, callee.name, message),
            control: legitimate(way),
            expect: refusal(callee),
          });
        }
        return shot(attack, {
          place,
          service: caller.name,
          target: `${caller.name} → its agent → ${callee.name}: ${describeMessage(message)}`,
          probe: throughOwnAgent(caller.name, callee.name, message),
          control: throughOwnAgent(caller.name, callee.name, messageOfEntry(way)),
          expect: refusal(callee),
        });
      }),
  };
  return attack;
});

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

export const AUTHORIZATION_ATTACKS: readonly Attack[] = [...forbidden, claimsUser, withoutScope, scopePrefix];

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

function throughOwnAgent(caller: string, callee: string, message: Message): Probe {
  return { kind: 'outbound', caller, callee, message };
}

function messageOfEntry(way: Entry): Message {
  return way.kind === 'inbound' ? messageOfCall(way.call) : messageOf(way.method, way.path);
}

/** A TCP service has no words for a refusal: its agent closes. */
function refusal(callee: Service): Shot['expect'] {
  return callee.protocol === 'tcp' ? { kind: 'no-session' } : { kind: 'refused', reasons: ['no-such-call'] };
}

/** At each pair of which one calls the other by HTTP: a request that none of these calls is. */
function besideItsCalls(
  outside: (calls: readonly HttpCall[]) => Message | undefined,
): (field: Field, caller: Service, callee: Service) => Forbidden | undefined {
  return (field, caller, callee) => {
    const calls = callsOf(caller, callee).filter(call => call.kind === 'http');
    const way = field.inboundEntries.find(
      entry => entry.caller === caller.name && entry.service === callee.name,
    );
    const message = outside(calls);
    return way === undefined || message === undefined ? undefined : { message, way };
  };
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
