import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PROBLEM_CODES, type ProblemCode } from './index.ts';
import {
  EDGE,
  HEAD,
  model,
  onRoute,
  parse,
  problemsOf,
  SERVICES,
  withCalls,
  withEgress,
  withIssuer,
  withRoute,
  withRun,
  withService,
} from './model-fixture.ts';

/** What is wrong, the model with `▶` before the place that must be reported, the code, part of the hint. */
type Bad = readonly [name: string, text: string, code: ProblemCode, hint?: string];
const BAD: readonly Bad[] = [
  // YAML
  ['an empty file', '▶', 'missing-value', 'ringwall init'],
  ['a file of comments only', '▶# nothing\n', 'missing-value'],
  ['an unclosed list', withRoute('{ path: /x, methods: [GET, to: web ▶}\n'), 'yaml-syntax'],
  [
    'a tab as indentation',
    `${HEAD}services:\n▶\tweb: { data: internal, listen: http 80 }\n`,
    'yaml-syntax',
    'spaces',
  ],
  ['a second document', `${model()}▶---\nsystem: other\n`, 'yaml-unsupported', 'file of its own'],
  ['an anchor', withService('data: &d ▶internal\nlisten: http 80'), 'yaml-unsupported'],
  ['an alias', withService('data: ▶*d\nlisten: http 80'), 'yaml-unsupported', 'write the value out'],
  ['a tag', withService('data: !!str ▶internal\nlisten: http 80'), 'yaml-unsupported'],
  ['an unknown tag', withService('data: !js ▶internal\nlisten: http 80'), 'yaml-unsupported'],
  [
    'a merge key',
    withService('▶<<: { data: internal }\ndata: internal\nlisten: http 80'),
    'yaml-unsupported',
    'write the keys out',
  ],
  ['a directive', `▶%YAML 1.1\n---\n${model()}`, 'yaml-unsupported'],
  ['too deep nesting', `a: ${'['.repeat(63)}▶${'['.repeat(200)}`, 'too-large'],
  // shape
  ['a scalar as model', '▶just text\n', 'wrong-type'],
  ['a list as model', '▶- a\n- b\n', 'wrong-type'],
  ['a duplicate key', `${model()}▶system: again\n`, 'duplicate-key', 'line 2'],
  [
    'a duplicate service',
    model({ services: `${SERVICES}  ▶api: { data: internal, listen: http 1 }\n` }),
    'duplicate-key',
  ],
  ['an unknown top key', `${model()}▶sevices: {}\n`, 'unknown-key', 'possible here'],
  [
    'a mistyped required key',
    model({ head: HEAD.replace('trustDomain', '▶trustdomian') }),
    'unknown-key',
    '`trustDomain`',
  ],
  ['an unknown route key', onRoute('▶limit: [1/s per client]'), 'unknown-key', '`limits`'],
  [
    'an unknown service key',
    withService('data: internal\nlisten: http 80\n▶egres: []'),
    'unknown-key',
    '`egress`',
  ],
  [
    'a missing version',
    `▶${model({ head: HEAD.slice(HEAD.indexOf('system')) })}`,
    'missing-key',
    'apiVersion: ringwall.dev/v1',
  ],
  ['a missing services section', `▶${HEAD}`, 'missing-key', 'services'],
  [
    'a missing listen',
    model({ services: `${SERVICES}  ▶other: { data: internal }\n` }),
    'missing-key',
    'listen: http 8080',
  ],
  [
    'a missing data',
    model({ services: `${SERVICES}  ▶other: { listen: http 80 }\n` }),
    'missing-key',
    'data: internal',
  ],
  ['a missing path', withRoute('▶{ methods: [GET], to: web, clients: [anonymous] }'), 'missing-key', 'path:'],
  ['a missing clients', withRoute('▶{ path: /x, methods: [GET], to: web }'), 'missing-key', 'clients:'],
  ['a service without body', model({ services: `${SERVICES}  ▶other:\n` }), 'missing-value'],
  ['an explicit null', withService('▶data: ~\nlisten: http 80'), 'missing-value'],
  ['no services', `${HEAD}services: ▶{}\n`, 'missing-value'],
  [
    'a text for a list',
    withRoute('{ path: /x, methods: ▶GET, to: web, clients: [anonymous] }'),
    'wrong-type',
    '[GET]',
  ],
  ['a list for a text', withService('data: ▶[internal]\nlisten: http 80'), 'wrong-type'],
  ['a mapping for a list', withEgress('▶{ a: b }'), 'wrong-type'],
  ['a number as system', model({ head: HEAD.replace('shop\n', '▶42\n') }), 'wrong-type', '"42"'],
  [
    'a boolean as name',
    withIssuer('{ name: ▶true, issuer: https://id.example, audience: a }'),
    'wrong-type',
    '"true"',
  ],
  ['a float as image', withService('data: internal\nlisten: http 80\nimage: ▶1.2'), 'wrong-type', '"1.2"'],
  [
    'a quoted port',
    withIssuer('{ name: a, issuer: https://id.example, audience: a, port: ▶"80" }'),
    'wrong-type',
  ],
  ['a complex key', withService('data: internal\nlisten: http 80\n? ▶[a]\n: b'), 'wrong-type'],
  ['empty methods', withRoute('{ path: /x, methods: ▶[], to: web, clients: [anonymous] }'), 'missing-value'],
  ['empty limits', onRoute('limits: ▶[]'), 'missing-value'],
  // names
  [
    'another version',
    model({ head: HEAD.replace('ringwall.dev/v1', '▶ringwall.dev/v2') }),
    'unknown-word',
    'ringwall.dev/v1',
  ],
  ['an upper-case system', model({ head: HEAD.replace('shop\n', '▶Shop\n') }), 'malformed', '`shop`'],
  [
    'a trust domain with scheme',
    model({ head: HEAD.replace('shop.internal', '▶spiffe://shop') }),
    'malformed',
  ],
  [
    'an upper-case trust domain',
    model({ head: HEAD.replace('shop.internal', '▶Shop.internal') }),
    'malformed',
    'shop.internal',
  ],
  [
    'a service name with underscore',
    model({ services: `${SERVICES}  ▶my_svc: { data: internal, listen: http 80 }\n` }),
    'malformed',
  ],
  [
    'a service name of 64 letters',
    model({ services: `${SERVICES}  ▶${'a'.repeat(64)}: { data: internal, listen: http 80 }\n` }),
    'too-large',
  ],
  [
    'a service called outside',
    model({ services: `${SERVICES}  ▶outside: { data: internal, listen: http 80 }\n` }),
    'reserved-name',
  ],
  [
    'a service in the namespace of Ringwall',
    withService('data: internal\nlisten: http 80\nnamespace: ▶ringwall'),
    'reserved-name',
  ],
  [
    'an unknown classification',
    withService('data: ▶confidental\nlisten: http 80'),
    'unknown-word',
    '`confidential`',
  ],
  [
    'an unknown record mode',
    withService('data: internal\nlisten: http 80\nrecord: ▶sometimes'),
    'unknown-word',
    'durable, relaxed',
  ],
  ['an image with a space', withService('data: internal\nlisten: http 80\nimage: ▶a b'), 'malformed'],
  // edge
  [
    'a plaintext edge',
    model({ edge: EDGE.replace('edge:\n', 'edge:\n  listen: ▶http 8080\n') }),
    'unknown-word',
    '`https`',
  ],
  [
    'an edge without port',
    model({ edge: EDGE.replace('edge:\n', 'edge:\n  listen: ▶https\n') }),
    'malformed',
    'https 8080',
  ],
  [
    'an edge on port 0',
    model({ edge: EDGE.replace('edge:\n', 'edge:\n  listen: https ▶0\n') }),
    'out-of-range',
  ],
  [
    'an edge on the port of the issuer',
    model({ edge: EDGE.replace('edge:\n', 'edge:\n  listen: ▶https 4445\n') }),
    'port-conflict',
  ],
  ['a host with port', model({ edge: EDGE.replace('shop.test', '▶shop.test:4443') }), 'malformed'],
  [
    'an upper-case host',
    model({ edge: EDGE.replace('shop.test', '▶Shop.test') }),
    'malformed',
    '`shop.test`',
  ],
  ['a host with wildcard', model({ edge: EDGE.replace('shop.test', '▶"*.shop.test"') }), 'malformed'],
  ['an address as host', model({ edge: EDGE.replace('shop.test', '▶127.0.0.1') }), 'malformed'],
  ['a relative path', withRoute('{ path: ▶x, methods: [GET], to: web, clients: [anonymous] }'), 'bad-path'],
  [
    'a partial wildcard',
    withRoute('{ path: ▶/a/*.png, methods: [GET], to: web, clients: [anonymous] }'),
    'bad-path',
    '/files/*',
  ],
  [
    'a rest that is not last',
    withRoute('{ path: ▶/**/a, methods: [GET], to: web, clients: [anonymous] }'),
    'bad-path',
    '`*`',
  ],
  [
    'a foreign wildcard',
    withRoute("{ path: '▶/users/{id}', methods: [GET], to: web, clients: [anonymous] }"),
    'bad-path',
    '/users/*',
  ],
  [
    'a dot segment',
    withRoute('{ path: ▶/a/../b, methods: [GET], to: web, clients: [anonymous] }'),
    'bad-path',
  ],
  [
    'a path with query',
    withRoute('{ path: ▶/a?b=c, methods: [GET], to: web, clients: [anonymous] }'),
    'bad-path',
  ],
  [
    'a lower-case method',
    withRoute('{ path: /x, methods: [▶get], to: web, clients: [anonymous] }'),
    'unknown-word',
    '`GET`',
  ],
  [
    'CONNECT as method',
    withRoute('{ path: /x, methods: [▶CONNECT], to: web, clients: [anonymous] }'),
    'unknown-word',
  ],
  [
    'a method twice',
    withRoute('{ path: /x, methods: [GET, ▶GET], to: web, clients: [anonymous] }'),
    'duplicate-entry',
  ],
  [
    'an unknown target',
    withRoute('{ path: /x, methods: [GET], to: ▶wep, clients: [anonymous] }'),
    'unknown-service',
    '`web`',
  ],
  [
    'a tcp target',
    withRoute('{ path: /x, methods: [GET], to: ▶db, clients: [anonymous] }'),
    'wrong-protocol',
  ],
  [
    'an unknown kind of client',
    withRoute('{ path: /x, methods: [GET], to: web, clients: [▶anonymus] }'),
    'unknown-word',
    '`anonymous`',
  ],
  [
    'users without issuers',
    model({ users: '', edge: EDGE.replace('[anonymous]', '[▶user]') }),
    'issuer-missing',
    'users: issuers:',
  ],
  ['scopes for everybody', onRoute('scopes: ▶[a]'), 'no-effect', '[user]'],
  [
    'scopes for applications',
    withRoute('{ path: /x, methods: [GET], to: web, clients: [application], scopes: ▶[a] }'),
    'no-effect',
  ],
  [
    'a scope with a quote',
    withRoute(`{ path: /x, methods: [GET], to: web, clients: [user], scopes: [▶'a"b'] }`),
    'malformed',
  ],
  ['a limit per user for everybody', onRoute('limits: [▶1/s per user]'), 'no-effect', 'per client'],
  ['a limit without per', onRoute('limits: [▶20/s]'), 'malformed', '`20/s per client`'],
  ['a limit with a wrong unit', onRoute('limits: [20/▶min per client]'), 'unknown-word', '`m`'],
  ['a limit per something', onRoute('limits: [20/s per ▶clients]'), 'unknown-word', '`client`'],
  ['a limit of nothing', onRoute('limits: [▶0/s per client]'), 'out-of-range'],
  ['a limit in prose', onRoute('limits: [▶a few]'), 'malformed', '20/s burst 40 per client'],
  ['a limit twice', onRoute('limits: [1/s per client, ▶1/s per client]'), 'duplicate-entry'],
  [
    'a lockout per account without field',
    onRoute('lockout: ▶5 failures in 10m per account'),
    'lockout-account',
    'account: name',
  ],
  ['a field without lockout', onRoute('account: ▶name'), 'lockout-account'],
  [
    'a field for a lockout per client',
    onRoute('lockout: 5 failures in 10m per client, account: ▶name'),
    'lockout-account',
  ],
  ['a lockout per user', onRoute('lockout: 5 failures in 10m per ▶user'), 'unknown-word', 'client, account'],
  [
    'a lockout per client and client',
    onRoute('lockout: 5 failures in 10m per client and ▶client'),
    'duplicate-entry',
  ],
  ['a lockout of a year', onRoute('lockout: ▶5 failures in 365d per client'), 'out-of-range'],
  ['a size without unit', onRoute('maxRequest: ▶1024'), 'malformed', '64KiB'],
  ['a size in kB', onRoute('maxResponse: ▶64KB'), 'malformed', '`64KiB`'],
  ['a size beyond reason', onRoute('maxRequest: ▶99999GiB'), 'out-of-range'],
  [
    'a route twice',
    withRoute('{ path: ▶/, methods: [POST, GET], to: api, clients: [anonymous] }'),
    'duplicate-route',
    'line 10',
  ],
  [
    'a route twice in another spelling',
    withRoute(
      `{ path: /%41, methods: [GET], to: api, clients: [anonymous] }\n      - { path: ▶/A, methods: [GET], to: api, clients: [anonymous] }`,
    ),
    'duplicate-route',
  ],
  // users
  [
    'an issuer over http',
    withIssuer('{ name: a, issuer: ▶http://id.example, audience: a }'),
    'bad-origin',
    'https://id.example',
  ],
  [
    'an issuer that is no URL',
    withIssuer('{ name: a, issuer: ▶id.example, audience: a }'),
    'bad-origin',
    'local',
  ],
  [
    'an issuer with query',
    withIssuer('{ name: a, issuer: ▶https://id.example/?a, audience: a }'),
    'bad-origin',
  ],
  [
    'an issuer with password',
    withIssuer('{ name: a, issuer: ▶https://u:p@id.example, audience: a }'),
    'bad-origin',
  ],
  ['two local issuers', withIssuer('{ name: a, issuer: ▶local, audience: a }'), 'local-issuer'],
  [
    'a port of a remote issuer',
    withIssuer('{ name: a, issuer: https://id.example, audience: a, port: ▶1 }'),
    'local-issuer',
  ],
  [
    'a port out of range',
    withIssuer('{ name: a, issuer: https://id.example, audience: a, port: ▶70000 }'),
    'out-of-range',
  ],
  [
    'an issuer name twice',
    withIssuer('{ name: ▶id, issuer: https://id.example, audience: a }'),
    'duplicate-entry',
  ],
  [
    'an algorithm with shared secret',
    withIssuer('{ name: a, issuer: https://id.example, audience: a, algorithm: ▶HS256 }'),
    'unknown-word',
    '`ES256`',
  ],
  [
    'no algorithm at all',
    withIssuer('{ name: a, issuer: https://id.example, audience: a, algorithm: ▶none }'),
    'unknown-word',
  ],
  // services
  ['listen with a colon', withService('data: internal\nlisten: ▶http:8080'), 'malformed', 'http 8080'],
  ['listen on https', withService('data: internal\nlisten: ▶https 8080'), 'unknown-word', '`http`'],
  ['listen beyond the ports', withService('data: internal\nlisten: http ▶65536'), 'out-of-range'],
  ['a call to nobody', withCalls('{ ▶apo: [GET /items] }'), 'unknown-service', '`api`'],
  ['a call to itself', withCalls('{ ▶other: [GET /items] }'), 'self-call'],
  ['a call without method', withCalls('{ api: [▶/items] }'), 'malformed', 'GET'],
  ['a call without path', withCalls('{ api: [▶GET] }'), 'malformed', 'GET /products'],
  ['a call with an unknown method', withCalls('{ api: [▶GTE /items] }'), 'unknown-word', '`GET`'],
  ['a call with a relative path', withCalls('{ api: [GET ▶items] }'), 'bad-path', 'GET /items'],
  ['a call with a bad path', withCalls('{ api: [GET ▶/items/%2f] }'), 'bad-path'],
  ['a quoted call with a bad path', withCalls('{ api: ["GET ▶/items//a"] }'), 'bad-path'],
  ['a call with a mistyped connect', withCalls('{ db: [▶conect] }'), 'malformed', '`connect`'],
  ['a call twice', withCalls('{ api: [GET /items, ▶GET /items] }'), 'duplicate-call'],
  ['a call twice in another spelling', withCalls('{ api: [GET /%7Ea, ▶GET /~a] }'), 'duplicate-call'],
  ['no calls at all', withCalls('{ api: ▶[] }'), 'missing-value'],
  ['connect to http', withCalls('{ api: [▶connect] }'), 'wrong-protocol', 'GET'],
  ['http to tcp', withCalls('{ db: [▶GET /] }'), 'wrong-protocol', 'connect'],
  ['GET to grpc', withCalls('{ rpc: [▶GET /a.B/C] }'), 'wrong-protocol', 'POST'],
  ['egress with a path', withEgress('[▶https://bank.example/pay]'), 'bad-origin', '`https://bank.example`'],
  ['egress with a slash', withEgress('[▶https://bank.example/]'), 'bad-origin', '`https://bank.example`'],
  ['egress in upper case', withEgress('[▶https://Bank.example]'), 'bad-origin', '`https://bank.example`'],
  [
    'egress with the default port',
    withEgress('[▶https://bank.example:443]'),
    'bad-origin',
    '`https://bank.example`',
  ],
  ['egress over http', withEgress('[▶http://bank.example]'), 'bad-origin', 'https://bank.example'],
  [
    'egress over http to what looks like loopback',
    withEgress('[▶http://127.0.0.1.evil.example]'),
    'bad-origin',
  ],
  ['egress without scheme', withEgress('[▶bank.example]'), 'bad-origin'],
  ['egress to everything', withEgress('["▶https://*"]'), 'bad-origin'],
  ['egress twice', withEgress('[https://bank.example, ▶https://bank.example]'), 'duplicate-entry'],
  [
    'egress with the variable of a call',
    model({
      services: `${SERVICES}  a-b: { data: internal, listen: http 1 }\n  c: { data: internal, listen: http 1, calls: { a-b: [GET /] }, egress: [▶https://a.b] }\n`,
    }),
    'environment-conflict',
  ],
  ['a run with a pipe', withRun('node a.js ▶| tee log'), 'shell-syntax', 'sh, -c'],
  ['a run with a variable', withRun('node ▶$FILE'), 'shell-syntax'],
  ['a run with an open quote', withRun("node ▶'a.js"), 'malformed'],
  ['a run without program', withRun('"▶  "'), 'malformed'],
  [
    'a run without command',
    model({ services: `${SERVICES}  other: { data: internal, listen: http 1, ▶run: { directory: a } }\n` }),
    'missing-key',
  ],
  ['a run that sets PORT', withRun('{ command: node, env: { ▶PORT: 1 } }'), 'reserved-name'],
  [
    'a run that sets the address of a call',
    model({
      services: `${SERVICES}  other: { data: internal, listen: http 1, calls: { api: [GET /] }, run: { command: a, env: { ▶API_URL: x } } }\n`,
    }),
    'reserved-name',
  ],
  ['a variable that is none', withRun('{ command: node, env: { ▶A-B: 1 } }'), 'malformed'],
];

describe('parseModel() refuses', () => {
  for (const [name, marked, code, hint] of BAD) {
    test(`${name}: ${code}`, () => {
      const { text, line, column } = unmark(marked);
      const parsed = parse(text);
      assert.equal(parsed.kind, 'invalid', 'the model was accepted');
      const shown = parsed.problems.map(
        problem => `${problem.at.line}:${problem.at.column} ${problem.code} ${problem.message}`,
      );
      const [first] = parsed.problems;
      assert.deepEqual(
        { code: first?.code, line: first?.at.line, column: first?.at.column },
        { code, line, column },
        shown.join('\n'),
      );
      if (hint !== undefined) assert.ok(first?.hint?.includes(hint) === true, `hint: ${first?.hint}`);
      assert.match(first?.message ?? '', /^[^A-Z].*[^.]$/s, 'lowercase, no full stop');
    });
  }

  test('with one problem each, not a heap of consequences', () => {
    const shaped = BAD.filter(([, , code]) => code !== 'yaml-syntax');
    const many = shaped
      .filter(([, marked]) => problemsOf(unmark(marked).text).length > 1)
      .map(([name]) => name);
    assert.deepEqual(many, []);
  });

  test('for every reason that there is', () => {
    const errors = Object.entries(PROBLEM_CODES).filter(([, { severity }]) => severity === 'error');
    const seen = new Set<string>(BAD.map(([, , code]) => code));
    assert.deepEqual(
      errors.map(([code]) => code).filter(code => !seen.has(code)),
      [],
    );
  });
});

function unmark(marked: string): { text: string; line: number; column: number } {
  const at = marked.indexOf('▶');
  assert.ok(at >= 0 && marked.indexOf('▶', at + 1) < 0, 'one mark');
  const before = marked.slice(0, at).split('\n');
  return { text: marked.replace('▶', ''), line: before.length, column: (before.at(-1) ?? '').length + 1 };
}
