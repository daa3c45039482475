import assert from 'node:assert/strict';
import { parseModel, type Model } from '#domain/model';
import { importCompose, importKubernetes, type Imported } from './import-manifests.ts';

export type Fixture = {
  readonly imported: Extract<Imported, { kind: 'imported' }>;
  readonly text: string;
  readonly model: Model;
  /** `caller -> callee` for every call of the model, sorted. */
  readonly graph: readonly string[];
  /** `host path -> service` for every route. */
  readonly routes: readonly string[];
  readonly egress: readonly string[];
  readonly untold: readonly string[];
};

/** Imports one text (or several named ones) and reads the result as every other command reads it. */
export function importFixture(
  kind: 'kubernetes' | 'compose',
  texts: string | Readonly<Record<string, string>>,
  system = 'shop',
): Fixture {
  const named = typeof texts === 'string' ? { 'all.yaml': texts } : texts;
  const sources = Object.entries(named).map(([name, text]) => ({ path: name, name, text }));
  const importer = kind === 'kubernetes' ? importKubernetes : importCompose;
  const imported = importer(sources, { system: undefined, fallbackSystem: system });
  assert.equal(imported.kind, 'imported');
  assert.ok(imported.kind === 'imported');
  const parsed = parseModel({ file: 'ringwall.yaml', text: imported.text, directory: '/' });
  assert.deepEqual(parsed.kind === 'invalid' ? parsed.problems : [], [], imported.text);
  assert.ok(parsed.kind === 'model');
  const { model } = parsed;
  const services = [...model.services.values()];
  return {
    imported,
    text: imported.text,
    model,
    graph: services.flatMap(({ name, calls }) => calls.map(({ service }) => `${name} -> ${service}`)).sort(),
    routes: model.edge.hosts.flatMap(({ host, routes }) =>
      routes.map(route => `${host} ${route.path.text} -> ${route.to}`),
    ),
    egress: services.flatMap(({ name, egress }) => egress.map(({ origin }) => `${name} -> ${origin}`)),
    untold: imported.draft.notes.map(({ message }) => message),
  };
}

/** The line of `text` that holds `part`. */
export function lineWith(text: string, part: string): string {
  return text.split('\n').find(line => line.includes(part)) ?? '';
}

/** A Deployment with a Service of the same name. */
export function app(
  name: string,
  {
    env = {},
    port = 8080,
    namespace,
    args,
  }: { env?: Record<string, string>; port?: number; namespace?: string; args?: string[] } = {},
): string {
  const metadata = `metadata: { name: ${name}${namespace === undefined ? '' : `, namespace: ${namespace}`} }`;
  const variables = Object.entries(env).map(
    ([key, value]) => `        - { name: ${key}, value: ${JSON.stringify(value)} }`,
  );
  return `---
apiVersion: apps/v1
kind: Deployment
${metadata}
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      containers:
      - name: main
        image: example/${name}:1
        ports: [{ containerPort: ${port}, name: http }]
        args: ${JSON.stringify(args ?? [])}
        env:${variables.length === 0 ? ' []' : `\n${variables.join('\n')}`}
---
apiVersion: v1
kind: Service
${metadata}
spec:
  selector: { app: ${name} }
  ports: [{ port: 80, targetPort: http, name: http }]
`;
}

/** A chart as `helm template` prints it: WordPress and its MySQL. */
export const HELM_WORDPRESS = `---
# Source: wordpress/charts/mysql/templates/secrets.yaml
apiVersion: v1
kind: Secret
metadata: { name: blog-mysql, labels: { app.kubernetes.io/instance: blog } }
data:
  mysql-password: c2VjcmV0LXBhc3N3b3Jk
---
# Source: wordpress/charts/mysql/templates/svc-headless.yaml
apiVersion: v1
kind: Service
metadata: { name: blog-mysql-headless, labels: { app.kubernetes.io/instance: blog, app.kubernetes.io/name: mysql } }
spec:
  type: ClusterIP
  clusterIP: None
  publishNotReadyAddresses: true
  ports: [{ name: mysql, port: 3306, targetPort: mysql }]
  selector: { app.kubernetes.io/instance: blog, app.kubernetes.io/name: mysql }
---
# Source: wordpress/charts/mysql/templates/svc.yaml
apiVersion: v1
kind: Service
metadata: { name: blog-mysql }
spec:
  type: ClusterIP
  ports: [{ name: mysql, port: 3306, protocol: TCP, targetPort: mysql, nodePort: null }]
  selector: { app.kubernetes.io/instance: blog, app.kubernetes.io/name: mysql }
---
# Source: wordpress/templates/svc.yaml
apiVersion: v1
kind: Service
metadata: { name: blog-wordpress }
spec:
  type: LoadBalancer
  externalTrafficPolicy: "Cluster"
  ports:
    - { name: http, port: 80, targetPort: http }
    - { name: https, port: 443, targetPort: https }
  selector: { app.kubernetes.io/instance: blog, app.kubernetes.io/name: wordpress }
---
# Source: wordpress/charts/mysql/templates/statefulset.yaml
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: blog-mysql, labels: { app.kubernetes.io/instance: blog } }
spec:
  serviceName: blog-mysql-headless
  template:
    metadata: { labels: { app.kubernetes.io/instance: blog, app.kubernetes.io/name: mysql } }
    spec:
      containers:
        - name: mysql
          image: docker.io/bitnami/mysql:8.4.5-debian-12-r0
          env:
            - name: MYSQL_ROOT_PASSWORD
              valueFrom: { secretKeyRef: { name: blog-mysql, key: mysql-password } }
            - { name: MYSQL_DATABASE, value: "blog-wordpress" }
          ports: [{ name: mysql, containerPort: 3306 }]
---
# Source: wordpress/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata: { name: blog-wordpress, labels: { app.kubernetes.io/instance: blog } }
spec:
  template:
    metadata: { labels: { app.kubernetes.io/instance: blog, app.kubernetes.io/name: wordpress } }
    spec:
      containers:
        - name: wordpress
          image: docker.io/bitnami/wordpress:6.8.1
          env:
            - name: WORDPRESS_DATABASE_HOST
              value: "blog-mysql"
            - name: WORDPRESS_DATABASE_PORT_NUMBER
              value: "3306"
            - name: WORDPRESS_DATABASE_PASSWORD
              valueFrom: { secretKeyRef: { name: blog-mysql, key: mysql-password } }
          ports:
            - { name: http, containerPort: 8080 }
            - { name: https, containerPort: 8443 }
---
# Source: wordpress/templates/tests/test-connection.yaml
apiVersion: v1
kind: Pod
metadata: { name: blog-test, annotations: { helm.sh/hook: test } }
spec: { containers: [{ name: wget, image: busybox, command: ['wget'], args: ['blog-wordpress:80'] }] }
`;
