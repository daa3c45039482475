import type { Reason } from '#domain/decision';
import { METHODS, type Model } from '#domain/model';
import { matchesPattern, pathOutside } from '#domain/path';
import { shot } from './shot.ts';
import type { Attack, Message, Shot } from './attack.ts';
import { edgeProbe, legitimate, messageOf, type EdgeEntry, type Field } from './field.ts';

const NOT_ROUTED: readonly Reason[] = ['no-route', 'unknown-host', 'method-not-allowed'];

/** One shot at each service's door, made from the entry. */
function atDoors(
  attack: Attack,
  field: Field,
  make: (entry: EdgeEntry) => { readonly message: Message; readonly target: string } | undefined,
  reasons: readonly Reason[],
): Shot[] {
  return field.doors.flatMap(entry => {
    const made = make(entry);
    if (made === undefined) return [];
    return shot(attack, {
      place: entry.service,
      service: entry.service,
      target: made.target,
      probe: edgeProbe(entry, made.message),
      control: legitimate(entry),
      expect: { kind: 'refused', reasons },
    });
  });
}

const undeclaredPath: Attack = {
  id: 'edge/undeclared-path',
  ring: 'edge',
  vantage: 'outside',
  title: 'asks for a path that no route has',
  references: ['API9:2023', 'ASVS 13.4.1', 'T1190'],
  aim: field =>
    atDoors(
      undeclaredPath,
      field,
      entry => {
        const path = undeclaredAt(field.model, entry.host);
        return path === undefined
          ? undefined
          : { message: messageOf('GET', path), target: `${entry.host}: GET ${path}` };
      },
      NOT_ROUTED,
    ),
};

const undeclaredMethod: Attack = {
  id: 'edge/undeclared-method',
  ring: 'edge',
  vantage: 'outside',
  title: 'uses a method that the route does not have',
  references: ['CWE-650', 'ASVS 4.1.4'],
  aim: field =>
    field.edgeEntries.flatMap(entry => {
      const method = methodOutside(field.model, entry);
      if (method === undefined) return [];
      return shot(undeclaredMethod, {
        place: entry.route.rule,
        service: entry.service,
        target: `${entry.host}: ${method} ${entry.path}`,
        probe: edgeProbe(entry, messageOf(method, entry.path)),
        control: entry.route.lockout === undefined ? legitimate(entry) : doorOf(field, entry),
        expect: { kind: 'refused', reasons: ['method-not-allowed'] },
      });
    }),
};

const undeclaredHost: Attack = {
  id: 'edge/undeclared-host',
  ring: 'edge',
  vantage: 'outside',
  title: 'asks the gateway for a host that is not declared',
  references: ['CWE-644', 'ASVS 13.2.1'],
  aim: field =>
    field.doors.map(entry =>
      shot(undeclaredHost, {
        place: entry.service,
        service: entry.service,
        target: `undeclared.test: GET ${entry.path}`,
        probe: {
          kind: 'edge',
          host: entry.host,
          token: entry.token,
          message: { kind: 'raw', text: `GET ${entry.path} HTTP/1.1\r\nHost: undeclared.test\r\n\r\n` },
        },
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['unknown-host'] },
      }),
    ),
};

const innerHost: Attack = {
  id: 'edge/inner-service-as-host',
  ring: 'edge',
  vantage: 'outside',
  title: 'asks the gateway for an inner service by its name',
  references: ['API7:2023', 'CVE-2021-31921'],
  aim: field => {
    const [door] = field.doors;
    if (door === undefined) return [];
    return [...field.model.services.keys()].map(service =>
      shot(innerHost, {
        place: service,
        service,
        target: `${service}: GET /`,
        probe: {
          kind: 'edge',
          host: door.host,
          token: { kind: 'none' },
          message: { kind: 'raw', text: `GET / HTTP/1.1\r\nHost: ${service}\r\n\r\n` },
        },
        control: legitimate(door),
        expect: { kind: 'refused', reasons: ['unknown-host'] },
      }),
    );
  },
};

const FORBIDDEN_METHODS = ['TRACE', 'CONNECT', 'PROPFIND', 'get'] as const;

const oddMethods = FORBIDDEN_METHODS.map(method => {
  const attack: Attack = {
    id: `edge/method-${method === 'get' ? 'lower-case' : method.toLowerCase()}`,
    ring: 'edge',
    vantage: 'outside',
    title: method === 'get' ? 'spells a method in lower case' : `uses ${method}`,
    references: ['CWE-650', 'ASVS 4.1.4'],
    aim: field =>
      atDoors(
        attack,
        field,
        entry => {
          const target = method === 'CONNECT' ? `${entry.host}:443` : entry.path;
          const text = `${method} ${target} HTTP/1.1\r\nHost: ${entry.host}\r\n\r\n`;
          return { message: { kind: 'raw', text }, target: `${entry.host}: ${method} ${target}` };
        },
        ['method-not-allowed', 'malformed-request', 'no-route'],
      ),
  };
  return attack;
});

/** Headers by which other gateways let a client choose the route, the method or the host after the decision. */
const OVERRIDES = [
  { name: 'original-url', header: 'X-Original-URL', references: ['CWE-436', 'CVE-2018-14773'] },
  { name: 'rewrite-url', header: 'X-Rewrite-URL', references: ['CWE-436', 'CVE-2018-14773'] },
  { name: 'envoy-original-path', header: 'X-Envoy-Original-Path', references: ['CVE-2023-27487'] },
] as const;

const overrides = OVERRIDES.map(({ name, header, references }) => {
  const attack: Attack = {
    id: `edge/override-${name}`,
    ring: 'edge',
    vantage: 'outside',
    title: `asks for an undeclared path with ${header} naming a declared one`,
    references,
    aim: field =>
      atDoors(
        attack,
        field,
        entry => {
          const path = undeclaredAt(field.model, entry.host);
          if (path === undefined) return undefined;
          return {
            message: messageOf('GET', path, [[header, entry.path]]),
            target: `${entry.host}: GET ${path} with ${header}: ${entry.path}`,
          };
        },
        NOT_ROUTED,
      ),
  };
  return attack;
});

const METHOD_OVERRIDES = ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'] as const;

const methodOverride: Attack = {
  id: 'edge/override-method',
  ring: 'edge',
  vantage: 'outside',
  title: 'uses an undeclared method with override headers that name a declared one',
  references: ['CWE-650', 'API5:2023'],
  aim: field =>
    field.doors.flatMap(entry => {
      const method = methodOutside(field.model, entry);
      if (method === undefined) return [];
      const headers = METHOD_OVERRIDES.map(name => [name, entry.method] as const);
      return shot(methodOverride, {
        place: entry.service,
        service: entry.service,
        target: `${entry.host}: ${method} ${entry.path}, overridden as ${entry.method}`,
        probe: edgeProbe(entry, messageOf(method, entry.path, headers)),
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['method-not-allowed'] },
      });
    }),
};

const forwardedHost: Attack = {
  id: 'edge/forwarded-host',
  ring: 'edge',
  vantage: 'outside',
  title: 'asks for an undeclared host with X-Forwarded-Host and Forwarded naming a declared one',
  references: ['CWE-644', 'CVE-2026-35051'],
  aim: field =>
    atDoors(
      forwardedHost,
      field,
      entry => ({
        message: {
          kind: 'raw',
          text: `GET ${entry.path} HTTP/1.1\r\nHost: undeclared.test\r\nX-Forwarded-Host: ${entry.host}\r\nForwarded: host=${entry.host}\r\n\r\n`,
        },
        target: `undeclared.test forwarded as ${entry.host}`,
      }),
      ['unknown-host'],
    ),
};

const hostSuffix: Attack = {
  id: 'edge/host-suffix',
  ring: 'edge',
  vantage: 'outside',
  title: 'asks for a host that only begins or ends like a declared one',
  references: ['CWE-1289'],
  aim: field =>
    field.doors.flatMap(entry =>
      [`${entry.host}.undeclared.test`, `undeclared-${entry.host}`].map(host =>
        shot(hostSuffix, {
          place: `${entry.service}/${host}`,
          service: entry.service,
          target: `${host}: GET ${entry.path}`,
          probe: {
            kind: 'edge',
            host: entry.host,
            token: entry.token,
            message: { kind: 'raw', text: `GET ${entry.path} HTTP/1.1\r\nHost: ${host}\r\n\r\n` },
          },
          control: legitimate(entry),
          expect: { kind: 'refused', reasons: ['unknown-host'] },
        }),
      ),
    ),
};

const operatorPaths: Attack = {
  id: 'edge/operator-paths',
  ring: 'edge',
  vantage: 'outside',
  title: "asks the gateway for its operators' pages: metrics, health, control",
  references: ['API9:2023', 'CWE-200', 'T1046'],
  aim: field =>
    field.doors.flatMap(entry =>
      ['/metrics', '/healthz', '/status', '/.ringwall/control.sock', '/debug/pprof']
        .filter(path => !isRouted(field.model, entry.host, path))
        .map(path =>
          shot(operatorPaths, {
            place: `${entry.service}${path}`,
            service: entry.service,
            target: `${entry.host}: GET ${path}`,
            probe: edgeProbe(entry, messageOf('GET', path)),
            control: legitimate(entry),
            expect: { kind: 'refused', reasons: NOT_ROUTED },
          }),
        ),
    ),
};

const trailingSlash: Attack = {
  id: 'edge/other-spelling',
  ring: 'edge',
  vantage: 'outside',
  title: 'asks for a declared path in another case or with a slash behind it',
  references: ['CWE-178', 'CWE-436'],
  aim: field =>
    field.doors.flatMap(entry =>
      [`${entry.path}/`, entry.path.toUpperCase()]
        .filter(path => !path.includes('//') && !isRouted(field.model, entry.host, path))
        .map(path =>
          shot(trailingSlash, {
            place: `${entry.service}${path}`,
            service: entry.service,
            target: `${entry.host}: ${entry.method} ${path} in place of ${entry.path}`,
            probe: edgeProbe(entry, messageOf(entry.method, path)),
            control: legitimate(entry),
            expect: { kind: 'refused', reasons: ['no-route', 'method-not-allowed'] },
          }),
        ),
    ),
};

export const EDGE_ATTACKS: readonly Attack[] = [
  undeclaredPath,
  undeclaredMethod,
  undeclaredHost,
  innerHost,
  ...oddMethods,
  ...overrides,
  methodOverride,
  forwardedHost,
  hostSuffix,
  operatorPaths,
  trailingSlash,
];

function routesOf(model: Model, host: string) {
  return model.edge.hosts.find(candidate => candidate.host === host)?.routes ?? [];
}

function isRouted(model: Model, host: string, path: string): boolean {
  return routesOf(model, host).some(route => matchesPattern(route.path, path));
}

function undeclaredAt(model: Model, host: string): string | undefined {
  return pathOutside(routesOf(model, host).map(({ path }) => path));
}

/** A method that no route of the host has at this path. */
function methodOutside(model: Model, { host, path }: EdgeEntry): string | undefined {
  const allowed = new Set<string>(
    routesOf(model, host)
      .filter(route => matchesPattern(route.path, path))
      .flatMap(({ methods }) => methods),
  );
  return METHODS.find(method => !allowed.has(method) && method !== 'OPTIONS' && method !== 'HEAD');
}

function doorOf(field: Field, { service }: EdgeEntry) {
  const door = field.doors.find(entry => entry.service === service);
  return door === undefined ? undefined : legitimate(door);
}
