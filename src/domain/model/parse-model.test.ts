import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  EDGE,
  HEAD,
  model,
  parse,
  problemsOf,
  ROUTE,
  SERVICES,
  withCalls,
  withEgress,
  withRun,
  withService,
} from './model-fixture.ts';

describe('parseModel()', () => {
  test('reads a model with every feature', () => {
    const text = `
# a comment
apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
users:
  issuers:
    - { name: id, issuer: local, audience: shop, port: 4446 }
    - { name: work, issuer: "https://id.example/realms/a", audience: shop, algorithm: PS256 }
    - { name: other, issuer: https://other.example, audience: shop }
edge:
  listen: https 8443
  hosts:
    shop.test:
      - path: /cart/**
        methods: [GET, POST]
        to: web
        clients: [user]
        scopes: [cart, "a:b"]
        limits: [10/m burst 3 per user, 100/h per route]
        lockout: 5 failures in 10m per client and account
        account: user[name]
        maxRequest: 64KiB
        maxResponse: 512B
      - { path: /, methods: [GET], to: web, clients: [anonymous] }
    rpc.shop.test:
      - { path: /a.B/C, methods: [POST], to: rpc, clients: [user, application] }
services:
  web:
    data: public
    namespace: front
    listen: http 8080
    image: registry.example:5000/web@sha256:0123
    run: node 'my web.js' --x="a b"
    record: durable
    calls:
      rpc: [POST /a.B/*]
      db: [connect]
    egress: [https://bank.example, "https://bank.example:8443", "http://[::1]:1"]
  rpc:
    data: confidential
    listen: grpc 9090
    run: { command: [node, a.js, a.js], directory: rpc, env: { N: 1, T: true, S: "x y", E: "" } }
  db: { data: restricted, listen: tcp 5432, record: relaxed, run: { command: postgres -D data } }
`;
    const parsed = parse(text);
    assert.equal(parsed.kind, 'model', JSON.stringify(parsed));
    const { issuers, edge, services } = parsed.model;
    assert.deepEqual(
      issuers.map(({ name, issuer, algorithm, port }) => [name, issuer, algorithm, port]),
      [
        ['id', 'local', 'ES256', 4446],
        ['work', 'https://id.example/realms/a', 'PS256', undefined],
        ['other', 'https://other.example', 'RS256', undefined],
      ],
    );
    assert.equal(edge.port, 8443);
    const [cart, front] = edge.hosts[0]?.routes ?? [];
    assert.deepEqual(
      { ...cart, path: cart?.path.text },
      {
        rule: 'edge/shop.test/0',
        path: '/cart/**',
        methods: ['GET', 'POST'],
        to: 'web',
        clients: ['user'],
        scopes: ['cart', 'a:b'],
        limits: [
          { requests: 10, perMs: 60_000, burst: 3, per: 'user', text: '10/m burst 3 per user' },
          { requests: 100, perMs: 3_600_000, burst: 100, per: 'route', text: '100/h per route' },
        ],
        lockout: {
          failures: 5,
          windowMs: 600_000,
          per: ['client', 'account'],
          accountField: 'user[name]',
          text: '5 failures in 10m per client and account',
        },
        maxRequestBytes: 65_536,
        maxResponseBytes: 512,
        at: { file: 'ringwall.yaml', line: 15, column: 9 },
      },
    );
    assert.deepEqual(
      front?.limits.map(limit => limit.text),
      ['100/s burst 200 per client'],
      'by classification',
    );
    assert.deepEqual([front?.maxRequestBytes, front?.maxResponseBytes], [1024 ** 2, 64 * 1024 ** 2]);
    const rpcRoute = edge.hosts[1]?.routes[0];
    assert.deepEqual([rpcRoute?.rule, rpcRoute?.maxRequestBytes], ['edge/rpc.shop.test/0', 256 * 1024]);

    const [web, rpc, db] = [...services.values()];
    assert.deepEqual(
      [web?.namespace, web?.record, web?.at.line, web?.at.column],
      ['front', 'durable', 29, 3],
    );
    assert.deepEqual(web?.run, {
      command: ['node', 'my web.js', '--x=a b'],
      directory: '/srv/shop',
      env: {},
      at: { file: web?.at.file, line: 34, column: 10 },
    });
    assert.deepEqual(
      web?.calls.map(({ service, calls }) => [service, calls.map(({ rule }) => rule)]),
      [
        ['rpc', ['calls/web/rpc/0']],
        ['db', ['calls/web/db/0']],
      ],
    );
    assert.deepEqual(
      web?.egress.map(({ rule, origin }) => [rule, origin]),
      [
        ['egress/web/0', 'https://bank.example'],
        ['egress/web/1', 'https://bank.example:8443'],
        ['egress/web/2', 'http://[::1]:1'],
      ],
    );
    assert.deepEqual(
      [rpc?.protocol, rpc?.port, rpc?.record, rpc?.namespace],
      ['grpc', 9090, 'durable', 'default'],
    );
    assert.deepEqual(rpc?.run, {
      command: ['node', 'a.js', 'a.js'],
      directory: '/srv/shop/rpc',
      env: { N: '1', T: 'true', S: 'x y', E: '' },
      at: { file: rpc?.at.file, line: 43, column: 21 },
    });
    assert.deepEqual([db?.record, db?.run?.command], ['relaxed', ['postgres', '-D', 'data']]);
  });

  test('reads the least model that there is', () => {
    const parsed = parse(`${HEAD}services: { web: { data: public, listen: http 80 } }`);
    assert.equal(parsed.kind, 'model');
    assert.deepEqual([parsed.model.edge, parsed.model.issuers], [{ port: 4443, hosts: [] }, []]);
  });

  test('names everything that is wrong at once, in the order of the file', () => {
    const text = model({
      edge: EDGE.replace('to: web', 'to: wep').replace('[GET]', '[GTE]'),
      services: SERVICES.replace('http 8080', 'http 0')
        .replace('GET /items', 'GET items')
        .replace('grpc', 'grcp'),
    });
    const problems = problemsOf(text);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['unknown-word', 'unknown-service', 'out-of-range', 'bad-path', 'unknown-word'],
    );
    const places = problems.map(({ at }) => at.line * 1000 + at.column);
    assert.deepEqual(
      places,
      [...places].sort((a, b) => a - b),
    );
  });

  test('keeps places right after CRLF, tabs and wide characters', () => {
    const text = `# 漢字 and 👩‍🚀\r\n${model({ services: `${SERVICES}  other: { run: "漢字 a", data: inernal, listen: http 80 }\n` }).replaceAll('\n', '\r\n')}`;
    const [problem] = problemsOf(text);
    assert.deepEqual(problem?.at, { file: 'ringwall.yaml', line: 17, column: 31 });
    assert.equal(problem?.length, 7);
  });

  test('points at the whole value where escapes lie between it and the fault', () => {
    const [problem] = problemsOf(withCalls('{ api: ["GET \\x2fitems//a"] }'));
    assert.deepEqual([problem?.code, problem?.at.column], ['bad-path', 20]);
  });

  test('takes `__proto__` and `constructor` for the unknown keys that they are', () => {
    const text = withService('data: internal\nlisten: http 80\n__proto__: { data: public }\nconstructor: x');
    assert.deepEqual(
      problemsOf(text).map(({ code }) => code),
      ['unknown-key', 'unknown-key'],
    );
    assert.deepEqual(
      problemsOf(withCalls('{ constructor: [GET /a] }')).map(({ code }) => code),
      ['unknown-service'],
    );
  });

  test('keeps two routes of one path apart by method, and two hosts', () => {
    const second = '      - { path: /, methods: [POST], to: web, clients: [anonymous] }\n';
    const text = model({ edge: `${EDGE}${second}    www.shop.test:\n      - ${ROUTE}\n` });
    assert.equal(parse(text).kind, 'model', JSON.stringify(problemsOf(text)));
  });

  test('bounds the number of problems that it keeps', () => {
    const text = `${HEAD}services:\n${Array.from({ length: 5000 }, (_, n) => `  s${n}: { dta: x }\n`).join('')}`;
    const { length } = problemsOf(text);
    assert.equal(length, 500);
    assert.deepEqual(
      parse(text).warnings.map(({ code, message }) => [code, message]),
      [['not-shown', '9500 further problems are not shown']],
    );
  });

  test('refuses a text of more than 8 MiB at once', () => {
    assert.deepEqual(
      problemsOf(`# ${'x'.repeat(8 * 1024 * 1024)}`).map(({ code }) => code),
      ['too-large'],
    );
  });

  test('reads 1,000 services and 10,000 calls', () => {
    const text = largeModel(1000, 10);
    const startedMs = performance.now();
    const parsed = parse(text);
    const tookMs = performance.now() - startedMs;
    assert.equal(parsed.kind, 'model');
    assert.equal(parsed.model.services.size, 1000);
    // The bar is 1 s together with compiling, on an idle machine; this only notices what is not linear.
    assert.ok(tookMs < 5000, `${tookMs} ms`);
  });
});

function largeModel(services: number, callees: number): string {
  const lines = [HEAD, 'services:\n'];
  for (let caller = 0; caller < services; caller += 1) {
    lines.push(`  s${caller}:\n    data: restricted\n    listen: http 8080\n    calls:\n`);
    for (let n = 1; n <= callees; n += 1)
      lines.push(`      s${(caller + n * 37) % services}: [GET /things/${n}/*]\n`);
  }
  return lines.join('');
}

describe('parseModel() never throws', () => {
  const accepted = [
    model(),
    withRun('{ command: [a], env: { A: b } }'),
    withEgress('[https://bank.example]'),
  ];

  test('on any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => {
        assert.equal(parse(text).kind, 'invalid');
      }),
      { numRuns: 300 },
    );
  });

  test('on YAML punctuation', () => {
    const piece = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '&x',
      '*x',
      '!!',
      '? ',
      '|',
      '>',
      '"',
      "'",
      '#',
      '%',
      '---',
      '...',
      '\t',
      '<<',
      '~',
      '  ',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), pieces => {
        parse(pieces.join(''));
        parse(`${HEAD}services: ${pieces.join('')}`);
      }),
      { numRuns: 500 },
    );
  });

  test('on damaged models, and points into the file', () => {
    const damage = fc.record({
      base: fc.constantFrom(...accepted),
      at: fc.nat(),
      cut: fc.nat({ max: 12 }),
      insert: fc.oneof(
        fc.string({ maxLength: 6 }),
        fc.constantFrom('[', '{', '"', ': ', '\n', '*', '**', '/', '~', '0', '\n  '),
      ),
    });
    fc.assert(
      fc.property(damage, ({ base, at, cut, insert }) => {
        const place = at % base.length;
        const text = base.slice(0, place) + insert + base.slice(place + cut);
        const parsed = parse(text);
        const lines = text.split('\n');
        for (const { at, length } of [
          ...(parsed.kind === 'invalid' ? parsed.problems : []),
          ...parsed.warnings,
        ]) {
          const line = lines[at.line - 1];
          assert.ok(
            line !== undefined && at.column >= 1 && at.column <= line.length + 1,
            `${at.line}:${at.column}`,
          );
          assert.ok(length === undefined || length >= 1);
        }
        if (parsed.kind === 'invalid') assert.ok(parsed.problems.length > 0);
      }),
      { numRuns: 1500 },
    );
  });

  test('and accepts what it was damaged from', () => {
    for (const text of accepted) assert.equal(parse(text).kind, 'model', JSON.stringify(problemsOf(text)));
  });
});
