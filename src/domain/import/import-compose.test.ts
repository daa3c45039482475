import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importCompose } from './import-manifests.ts';
import { importFixture, lineWith } from './imported-fixture.ts';

const SHOP = `name: my-shop
x-common: &common
  restart: unless-stopped
  environment: &defaults
    CACHE_URL: redis://cache:6379/0
services:
  web:
    <<: *common
    build: ./web
    ports:
      - "8080:3000"
      - "127.0.0.1:9229:9229"
      - "6000:6000/udp"
    environment:
      - API_URL=http://api:4000/v1
      - AUTH_ADDR=\${AUTH_ADDR:-auth:5000}
      - SEARCH_URL=\${SEARCH_URL}
      - MODE=api
    depends_on: [api, mailer]
    networks: [front]
  api:
    image: example/api:\${TAG:-1.0}
    env_file: [.env, { path: secrets.env, required: false }]
    environment:
      <<: *defaults
      DATABASE_URL: "postgres://app:\${DB_PASSWORD}@db:5432/shop"
      PAY_URL: https://api.pay.example/v1
      FROM_SHELL_HOST:
    expose: ["4000"]
    depends_on:
      db: { condition: service_healthy }
      queue: { condition: service_started }
    networks: { front: {}, back: { aliases: [api.internal] } }
    links: ["db:database"]
  worker:
    extends: { service: api }
    command: ["worker", "--broker=amqp://queue", "--api", "http://api.internal:4000"]
    profiles: [jobs]
  auth:
    image: example/auth
    ports:
      - { target: 5000, published: "5001", protocol: tcp, mode: host, app_protocol: grpc }
    networks: [front]
  db:
    image: postgres:16-alpine
    ports: ["5432:5432"]
    networks: [back]
    healthcheck: { test: ["CMD", "pg_isready", "-h", "localhost"] }
  queue:
    image: rabbitmq:3-management
    networks: [back]
  cache: { image: "redis:7", networks: [back] }
  mailer:
    image: example/mailer
    networks: [back]
`;

test('importCompose() finds calls in environment and commands; depends_on and links alone are none, but listed', () => {
  const { graph, untold, model, text, egress } = importFixture('compose', { 'compose.yaml': SHOP });
  assert.equal(model.system, 'my-shop');
  assert.deepEqual(graph, [
    'api -> cache',
    'api -> db',
    'web -> api',
    'web -> auth',
    'worker -> api',
    'worker -> cache',
    'worker -> db',
    'worker -> queue',
  ]);
  assert.deepEqual(egress, ['api -> https://api.pay.example', 'worker -> https://api.pay.example']);
  for (const expected of [
    /web: depends_on names mailer/,
    /api: depends_on names queue/,
    /api: env_file \.env is not read/,
    /api: env_file secrets\.env is not read/,
    /web: environment SEARCH_URL comes from outside/,
    /api: environment FROM_SHELL_HOST comes from outside/,
    /worker runs with profile jobs only/,
    /web: port 6000:6000\/udp is udp/,
    /published port 9229 of web is for the machine itself/,
    /published port 5432 of db leads to db, which speaks tcp/,
  ]) {
    assert.ok(
      untold.some(message => expected.test(message)),
      `${expected}\n${untold.join('\n')}`,
    );
  }
  assert.ok(!untold.some(message => /depends_on names (?:api|db)/.test(message)));
  assert.match(lineWith(text, 'db: [connect]'), /from environment DATABASE_URL, compose\.yaml:26/);
});

test('importCompose() reads published ports as edge, images and protocols', () => {
  const { routes, model } = importFixture('compose', SHOP);
  assert.deepEqual(routes, ['web.my-shop.test /** -> web', 'auth.my-shop.test /*/* -> auth']);
  const listens = [...model.services.values()].map(
    ({ name, protocol, port }) => `${name} ${protocol} ${port}`,
  );
  assert.deepEqual(listens, [
    'web http 3000',
    'api http 4000',
    'worker http 4000',
    'auth grpc 5000',
    'db tcp 5432',
    'queue tcp 5672',
    'cache tcp 6379',
    'mailer http 8080',
  ]);
  assert.equal(model.services.get('api')?.image, 'example/api:1.0');
  assert.equal(model.services.get('web')?.image, undefined);
});

test('importCompose() resolves container names, host names and link aliases', () => {
  const { graph } = importFixture(
    'compose',
    `services:
  a: { image: a, environment: { X_URL: "http://b-box:1234", Y_HOST: store, Z_URL: "http://c.host" }, links: ["d:store"] }
  b: { image: b, container_name: b-box }
  c: { image: c, hostname: c.host }
  d: { image: mysql }
  e: { image: e, environment: { Y_HOST: store } }
`,
  );
  assert.deepEqual(graph, ['a -> b', 'a -> c', 'a -> d']);
});

test('importCompose() says so when two services share no network', () => {
  const { untold } = importFixture(
    'compose',
    `services:\n  a: { image: a, networks: [x], environment: { B_URL: "http://b:80" } }\n  b: { image: b, networks: [y] }\n`,
  );
  assert.ok(untold.includes('a names b, but they share no network'));
});

test('importCompose() makes names fit and keeps them apart', () => {
  const { model, graph } = importFixture(
    'compose',
    `services:\n  My_App: { image: a, environment: { OTHER_URL: "http://outside:80" } }\n  my-app: { image: b }\n  outside: { image: c }\n`,
  );
  assert.deepEqual([...model.services.keys()].sort(), ['my-app', 'my-app-service', 'outside-service']);
  assert.deepEqual(graph, ['my-app -> outside-service']);
});

test('importCompose() reads the `.env` file that Compose would read', () => {
  const text = `services:
  web: { image: "web:\${TAG}", environment: [API_ADDR, "QUEUE=amqp://\${QUEUE_HOST}:\${QUEUE_PORT}"], ports: ["\${WEB_PORT}:80"] }
  api: { image: api }
  queue: { image: rabbitmq }
`;
  const dotenv = `# addresses\nexport HOST=api\nAPI_ADDR="\${HOST}:4000" # here\nQUEUE_HOST='queue'\nQUEUE_PORT=5672\nTAG=2\nWEB_PORT=8080\n`;
  const imported = importCompose([{ path: 'c', name: 'c', text }], {
    system: undefined,
    fallbackSystem: 'x',
    dotenv,
  });
  const web = imported.draft.services.find(({ key }) => key === 'web');
  assert.deepEqual(
    web?.calls.map(({ to }) => to),
    ['api', 'queue'],
  );
  assert.equal(web?.image?.text, 'web:2');
  assert.equal(imported.draft.services.find(({ key }) => key === 'api')?.listen.port, 4000);
});

const NOTHING = [
  '',
  'services:',
  'services: []',
  'services: { a: }',
  'services: { a: text }',
  'a: b',
  '- x',
  'services: &a { b: *a }',
  'services: {a: {extends: a',
];
for (const text of NOTHING) {
  test(`importCompose() finds nothing in ${JSON.stringify(text)} and survives it`, () => {
    const imported = importCompose([{ path: 'x', name: 'x', text }], {
      system: undefined,
      fallbackSystem: 'x',
    });
    assert.ok(imported.kind === 'nothing-found' || imported.draft.services.length > 0);
  });
}

const ODD_SERVICES = [
  '{ ports: 80 }',
  '{ ports: ["a:b", "99999", "1-5000", "80-70", 8080, { target: x }, [1]] }',
  '{ environment: text }',
  '{ environment: [1, {a: b}, "=x", "NOEQUALS"] }',
  '{ extends: a }',
  '{ extends: { service: missing, file: other.yml } }',
  '{ depends_on: { a: , missing: } }',
  '{ command: { a: b }, entrypoint: 5, links: [":", "", a], networks: 5, profiles: x, env_file: 7, image: [] }',
  '{ image: "not an image!", network_mode: host }',
];
for (const service of ODD_SERVICES) {
  test(`importCompose() makes a model of the odd service ${service}`, () => {
    assert.ok(importFixture('compose', `services:\n  a: ${service}\n`).model.services.has('a'));
  });
}

test('importCompose() takes no Ringwall model for a Compose file', () => {
  const text = 'apiVersion: ringwall.dev/v1\nservices:\n  a: { data: internal, listen: http 80 }\n';
  const imported = importCompose([{ path: 'ringwall.yaml', name: 'ringwall.yaml', text }], {
    system: undefined,
    fallbackSystem: 'x',
  });
  assert.equal(imported.kind, 'nothing-found');
});
