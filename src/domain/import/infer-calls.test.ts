import assert from 'node:assert/strict';
import { test } from 'node:test';
import { app, importFixture, lineWith } from './imported-fixture.ts';

test('importKubernetes() sends external hosts to egress, https only', () => {
  const external = `---
apiVersion: v1
kind: Service
metadata: { name: geo }
spec: { type: ExternalName, externalName: geo.partner.example }
---
apiVersion: v1
kind: Service
metadata: { name: cart-alias }
spec: { type: ExternalName, externalName: cart.default.svc.cluster.local }
`;
  const { egress, graph, untold, text } = importFixture(
    'kubernetes',
    external +
      app('cart') +
      app('web', {
        env: {
          STRIPE: 'https://api.stripe.com/v1?key=hidden-key',
          PLAIN_URL: 'http://legacy.example:8080/x',
          GEO_URL: 'https://geo:8443',
          CART_URL: 'http://cart-alias',
          DATABASE_URL: 'postgres://user:hidden-password@db.eu.rds.amazonaws.com:5432/shop',
          SMTP_HOST: 'smtp.sendgrid.net',
          NODE_ADDR: 'http://10.1.2.3:80',
          SELF: 'http://localhost:8080',
          CALLBACK_URL: 'https://shop.example/callback',
        },
      }),
  );
  assert.deepEqual(egress, [
    'web -> https://api.stripe.com',
    'web -> https://legacy.example:8080',
    'web -> https://geo.partner.example:8443',
  ]);
  assert.deepEqual(graph, ['web -> cart']);
  for (const expected of [
    /db\.eu\.rds\.amazonaws\.com by postgres, outside/,
    /smtp\.sendgrid\.net, outside/,
    /IP address 10\.1\.2\.3/,
  ]) {
    assert.ok(
      untold.some(message => expected.test(message)),
      String(expected),
    );
  }
  assert.match(lineWith(text, 'https://legacy.example:8080'), /the manifest says http/);
  assert.doesNotMatch(`${text}${untold.join('')}`, /hidden|user:/);
});

test('importKubernetes() takes links in mounted texts for no egress, addresses for egress', () => {
  const files = `---
apiVersion: v1
kind: ConfigMap
metadata: { name: files }
data:
  page.html: |
    <a href="https://docs.example/x">docs</a> see https://more.example/
  dash.json: '{"panels": [], "schemaVersion": 38, "links": [{"url": "https://grafana.example"}]}'
  app.properties: |
    # https://comment.example
    bank = https://bank.example/api
`;
  const mounted = app('web').replace(
    '      containers:',
    '      volumes: [{ name: f, configMap: { name: files } }]\n      containers:',
  );
  assert.deepEqual(importFixture('kubernetes', files + mounted).egress, ['web -> https://bank.example']);
});

test('importKubernetes() expands variables: $(VAR), those of Kubernetes for each Service, and pairs of host and port', () => {
  const { graph } = importFixture(
    'kubernetes',
    app('web', {
      env: { CART_HOST: 'cart', CART: 'http://$(CART_HOST):$(CART_PORT)/', CART_PORT: '80' },
      args: ['--ads=$(ADS_SERVICE_HOST):$(ADS_SERVICE_PORT)', '$(STOCK_PORT_80_TCP_ADDR):80'],
    }) + ['cart', 'ads', 'stock', 'other'].map(name => app(name)).join(''),
  );
  assert.deepEqual(graph, ['web -> ads', 'web -> cart', 'web -> stock']);
});

const NO_CALLS: Readonly<Record<string, string>> = {
  CACHE_TYPE: 'redis',
  DB_NAME: 'redis',
  OTEL_SERVICE_NAME: 'redis',
  DD_SERVICE: 'redis',
  REDIS_IMAGE: 'redis:6379',
  SESSION_STORE: 'redis',
  REDIS_TAG: 'redis:7',
  LOG: 'redis:7',
  REDIS_USER: 'redis',
  NO_PROXY: 'redis,redis.default.svc,.cluster.local',
  CORS_ALLOWED_ORIGINS: 'http://redis',
  DATA_DIR: '/var/lib/redis:80',
  MESSAGE: 'ask redis for the redis service',
  WEB_HOST: 'web',
  WEB_URL: 'http://web.default.svc/',
  TOPIC: 'a.redis.b:80',
};
for (const [name, value] of Object.entries(NO_CALLS)) {
  test(`importKubernetes() takes ${name}=${value} for no call`, () => {
    assert.deepEqual(
      importFixture('kubernetes', app('web', { env: { [name]: value } }) + app('redis')).graph,
      [],
    );
  });
}

const CALLS: Readonly<Record<string, string>> = {
  REDIS_HOST: 'redis',
  redisHost: 'redis',
  REDIS_SERVICE_NAME: 'redis',
  REDIS_SERVICE: 'redis',
  KAFKA_BROKERS: 'other, redis',
  ANY: 'redis:80',
  ANY_LIST: 'x:1,redis:8080',
  ANY_URL: 'redis://:pass@redis:6379/0',
  JDBC: 'jdbc:mysql://redis/db',
  MONGO: 'mongodb://u:p@one:27017,redis:27017/db?replicaSet=rs0',
  GO_DSN: 'user:pass@tcp(redis:80)/db',
  LIBPQ: 'host=redis port=80 user=x',
  ADO: 'Server=redis;Database=x;User Id=y',
  IN_CLUSTER: 'redis.default.svc',
  DOTTED: 'redis.default.svc.cluster.local:9',
  GRPC: 'dns:///redis:80',
  JSON_TEXT: '{"cache":{"host":"redis"}}',
  TWO: 'http://other:80,http://redis:80',
};
for (const [name, value] of Object.entries(CALLS)) {
  test(`importKubernetes() takes ${name}=${value} for a call`, () => {
    assert.deepEqual(
      importFixture('kubernetes', app('web', { env: { [name]: value } }) + app('redis')).graph,
      ['web -> redis'],
    );
  });
}
