import assert from 'node:assert/strict';
import { test } from 'node:test';
import { app, HELM_WORDPRESS, importFixture, lineWith } from './imported-fixture.ts';

test('importKubernetes() reads what Helm rendered: one service for two Services, the release as system', () => {
  const { graph, model, text, routes, untold } = importFixture('kubernetes', HELM_WORDPRESS);
  assert.deepEqual(graph, ['blog-wordpress -> blog-mysql']);
  assert.equal(model.system, 'blog');
  assert.deepEqual([...model.services.keys()].sort(), ['blog-mysql', 'blog-wordpress']);
  assert.deepEqual(routes, ['blog-wordpress.blog.test /** -> blog-wordpress']);
  const mysql = model.services.get('blog-mysql');
  assert.deepEqual([mysql?.protocol, mysql?.port, mysql?.data], ['tcp', 3306, 'confidential']);
  assert.equal(model.services.get('blog-wordpress')?.port, 8080);
  assert.match(lineWith(text, 'data: confidential'), /# guess: mysql is a database/);
  assert.ok(untold.some(message => message.includes('is a Helm test')));
  assert.doesNotMatch(text, /secret-password/);
});

test('importKubernetes() tells equal names of two namespaces apart', () => {
  const { graph, model } = importFixture(
    'kubernetes',
    app('web', {
      namespace: 'shop',
      env: { API_URL: 'http://api', STOCK: 'http://api.stock.svc.cluster.local:80/x' },
    }) +
      app('api', { namespace: 'shop', env: { OTHER_ADDR: 'api.stock:80' } }) +
      app('api', { namespace: 'stock' }),
  );
  assert.deepEqual(graph, ['shop-api -> stock-api', 'web -> shop-api', 'web -> stock-api']);
  assert.equal(model.services.get('stock-api')?.namespace, 'stock');
  assert.equal(model.services.get('web')?.namespace, 'shop');
});

test('importKubernetes() does not find a plain name in another namespace, as its DNS would not', () => {
  const { graph, untold } = importFixture(
    'kubernetes',
    app('web', { namespace: 'a', env: { API_HOST: 'api' } }) + app('api', { namespace: 'b' }),
  );
  assert.deepEqual(graph, []);
  assert.ok(untold.some(message => /web: env API_HOST names api, which is no Service/.test(message)));
});

test('importKubernetes() reads bookinfo: one Service over three versions', () => {
  const version = (number: number) => `---
apiVersion: apps/v1
kind: Deployment
metadata: { name: reviews-v${number}, namespace: bookinfo }
spec:
  selector: { matchLabels: { app: reviews, version: v${number} } }
  template:
    metadata: { labels: { app: reviews, version: v${number} } }
    spec:
      containers:
      - { name: reviews, image: "docker.io/istio/examples-bookinfo-reviews-v${number}:1.20", ports: [{ containerPort: 9080 }],
          env: [{ name: RATINGS_HOSTNAME, value: ratings }] }
`;
  const service = (name: string) => `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: bookinfo }
spec: { ports: [{ port: 9080, name: http }], selector: { app: ${name} } }
`;
  const { graph, model, text } = importFixture(
    'kubernetes',
    version(1) +
      version(2) +
      version(3) +
      service('reviews') +
      app('ratings', { namespace: 'bookinfo', port: 9080 }),
  );
  assert.deepEqual(graph, ['reviews -> ratings']);
  assert.equal(model.system, 'bookinfo');
  assert.match(
    lineWith(text, 'image: docker.io/istio/examples-bookinfo-reviews-v1'),
    /also .*reviews-v2:1\.20, .*reviews-v3:1\.20/,
  );
});

test('importKubernetes() follows StatefulSet pod names, and a cluster that names itself makes no call', () => {
  const set = (name: string, image: string, port: number, env: Record<string, string>) => `---
apiVersion: v1
kind: Service
metadata: { name: ${name}-headless, namespace: data }
spec: { clusterIP: None, selector: { app: ${name} }, ports: [{ name: tcp-${name}, port: ${port} }, { name: peer, port: 2888 }] }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: ${name}, namespace: data }
spec:
  serviceName: ${name}-headless
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      containers:
      - name: main
        image: ${image}
        ports: [{ containerPort: ${port} }]
        env:
        - name: MY_NS
          valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
${Object.entries(env)
  .map(([key, value]) => `        - { name: ${key}, value: ${JSON.stringify(value)} }`)
  .join('\n')}
`;
  const { graph, model } = importFixture(
    'kubernetes',
    set('kafka', 'confluentinc/cp-kafka:7.6', 9092, {
      KAFKA_ZOOKEEPER_CONNECT:
        'zookeeper-0.zookeeper-headless.data.svc.cluster.local:2181,zookeeper-1.zookeeper-headless:2181',
      KAFKA_ADVERTISED_LISTENERS: 'PLAINTEXT://kafka-0.kafka-headless.$(MY_NS).svc.cluster.local:9092',
    }) +
      set('zookeeper', 'zookeeper:3.9', 2181, {
        ZOO_SERVERS: 'server.1=zookeeper-0.zookeeper-headless.$(MY_NS).svc.cluster.local:2888:3888',
      }) +
      app('orders', {
        env: { BROKERS: 'kafka-0.kafka-headless.data:9092,kafka-1.kafka-headless.data:9092' },
      }),
  );
  assert.deepEqual(graph, ['kafka-headless -> zookeeper-headless', 'orders -> kafka-headless']);
  assert.deepEqual(
    [model.services.get('kafka-headless')?.protocol, model.services.get('kafka-headless')?.port],
    ['tcp', 9092],
  );
  assert.equal(model.services.get('zookeeper-headless')?.port, 2181);
});

test('importKubernetes() reads CronJobs, Jobs and init containers, from scripts and flags', () => {
  const cron = `---
apiVersion: batch/v1
kind: CronJob
metadata: { name: report }
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          initContainers:
          - name: wait
            image: busybox
            command: [sh, -c, "until nc -z -w 2 stock 80; do sleep 1; done"]
          containers:
          - name: report
            image: example/report
            command: ["/bin/report", "--db-host", "ledger", "--mail=smtp://mailer:80"]
            args:
            - |
              # curl http://billing/commented-out
              curl -fsS http://orders/export
`;
  const { graph, text } = importFixture('kubernetes', {
    'cron.yaml': cron,
    'apps.yaml': ['stock', 'ledger', 'mailer', 'orders', 'billing'].map(name => app(name)).join(''),
  });
  assert.deepEqual(graph, ['report -> ledger', 'report -> mailer', 'report -> orders', 'report -> stock']);
  assert.match(lineWith(text, 'orders: ['), /from args, cron\.yaml:23/);
});

test('importKubernetes() reads ConfigMaps: Spring configuration by volume, envFrom and key references', () => {
  const config = `---
apiVersion: v1
kind: ConfigMap
metadata: { name: orders-config }
data:
  application.yml: |
    spring:
      datasource:
        # url: jdbc:mysql://old-db:3306/orders
        url: jdbc:postgresql://orders-db:5432/orders?sslmode=disable
      data:
        redis:
          host: sessions
          port: 6379
      application:
        name: catalog
    clients:
      catalog: "http://\${CATALOG_HOST:catalog}:80/api"
      schema: http://www.w3.org/2001/XMLSchema
  unused.conf: upstream billing:80
---
apiVersion: v1
kind: ConfigMap
metadata: { name: shared }
data: { MAILER_URL: "http://mailer", PLAIN: billing }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: nobody-uses-it }
data: { BILLING_URL: "http://billing" }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: orders }
spec:
  selector: { matchLabels: { app: orders } }
  template:
    metadata: { labels: { app: orders } }
    spec:
      containers:
      - name: orders
        image: example/orders
        ports: [{ containerPort: 8080 }]
        envFrom: [{ configMapRef: { name: shared } }, { secretRef: { name: not-here } }]
        env:
        - name: STOCK_ADDR
          valueFrom: { configMapKeyRef: { name: addresses, key: stock } }
      volumes:
      - name: config
        configMap: { name: orders-config, items: [{ key: application.yml, path: application.yml }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: addresses }
data: { stock: "stock:80" }
---
apiVersion: v1
kind: Service
metadata: { name: orders }
spec: { selector: { app: orders }, ports: [{ port: 8080 }] }
`;
  const db = (name: string, image: string, port: number) =>
    app(name, { port })
      .replace(`example/${name}:1`, image)
      .replaceAll('name: http', 'name: main')
      .replaceAll('targetPort: http', 'targetPort: main')
      .replace('port: 80,', `port: ${port},`);
  const { graph, text, untold, model } = importFixture('kubernetes', {
    'orders.yaml': config,
    'others.yaml':
      db('orders-db', 'postgres:16', 5432) +
      db('sessions', 'redis:7', 6379) +
      ['catalog', 'mailer', 'billing', 'stock'].map(name => app(name)).join(''),
  });
  assert.deepEqual(graph, [
    'orders -> catalog',
    'orders -> mailer',
    'orders -> orders-db',
    'orders -> sessions',
    'orders -> stock',
  ]);
  assert.match(
    lineWith(text, 'orders-db: ['),
    /from ConfigMap orders-config key application\.yml, orders\.yaml:10/,
  );
  assert.equal(model.services.get('sessions')?.protocol, 'tcp');
  assert.ok(untold.some(message => message.includes('envFrom names Secret not-here')));
  assert.ok(!untold.some(message => message.includes('old-db')));
});

test('importKubernetes() reads Lists, JSON, and output of kubectl with owned objects', () => {
  const list = JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'List',
      items: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'web', namespace: 'default' },
          spec: {
            template: {
              metadata: { labels: { app: 'web' } },
              spec: {
                containers: [
                  {
                    image: 'web',
                    ports: [{ containerPort: 8080 }],
                    env: [{ name: 'API_URL', value: 'http://api' }],
                  },
                ],
              },
            },
          },
        },
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          metadata: {
            name: 'web-1',
            namespace: 'default',
            ownerReferences: [{ kind: 'Deployment', name: 'web' }],
          },
          spec: { template: {} },
        },
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'web', namespace: 'default' },
          spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
        },
        {
          apiVersion: 'serving.knative.dev/v1',
          kind: 'Service',
          metadata: { name: 'fn' },
          spec: { template: { spec: { containers: [{ image: 'fn' }] } } },
        },
      ],
    },
    null,
    1,
  );
  const { graph, model, untold } = importFixture('kubernetes', { 'list.json': list, 'api.yaml': app('api') });
  assert.deepEqual(graph, ['web -> api']);
  assert.deepEqual([...model.services.keys()], ['web', 'api']);
  assert.ok(untold.some(message => message.includes('not read: Service (serving.knative.dev) fn')));
});

test('importKubernetes() writes only the port that is used, and lists calls of another', () => {
  const two = app('api').replace(
    '[{ port: 80, targetPort: http, name: http }]',
    '[{ port: 9090, name: metrics }, { port: 80, targetPort: http, name: http }]',
  );
  const { graph, model, untold } = importFixture(
    'kubernetes',
    two + app('web', { env: { API: 'api:80' } }) + app('prometheus', { env: { TARGETS: 'api:9090' } }),
  );
  assert.equal(model.services.get('api')?.port, 8080);
  assert.deepEqual(graph, ['web -> api']);
  assert.ok(untold.some(message => message.includes('prometheus calls api at port 9090')));
  assert.ok(
    untold.some(message => message.includes('api has more ports than the one in the model: 9090 (metrics)')),
  );
});
