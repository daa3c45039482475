import type { Protocol } from '#domain/model';

type Known = {
  readonly protocol: Protocol;
  readonly port: number;
  readonly kind: 'database' | 'cache' | 'broker' | 'other';
};

/** Software known by the name of its image. */
const IMAGES: Readonly<Record<string, Known>> = {
  postgres: { protocol: 'tcp', port: 5432, kind: 'database' },
  postgresql: { protocol: 'tcp', port: 5432, kind: 'database' },
  postgis: { protocol: 'tcp', port: 5432, kind: 'database' },
  timescaledb: { protocol: 'tcp', port: 5432, kind: 'database' },
  pgvector: { protocol: 'tcp', port: 5432, kind: 'database' },
  pgbouncer: { protocol: 'tcp', port: 6432, kind: 'database' },
  cockroach: { protocol: 'tcp', port: 26257, kind: 'database' },
  mysql: { protocol: 'tcp', port: 3306, kind: 'database' },
  mariadb: { protocol: 'tcp', port: 3306, kind: 'database' },
  percona: { protocol: 'tcp', port: 3306, kind: 'database' },
  mssql: { protocol: 'tcp', port: 1433, kind: 'database' },
  mongo: { protocol: 'tcp', port: 27017, kind: 'database' },
  mongodb: { protocol: 'tcp', port: 27017, kind: 'database' },
  cassandra: { protocol: 'tcp', port: 9042, kind: 'database' },
  scylla: { protocol: 'tcp', port: 9042, kind: 'database' },
  couchdb: { protocol: 'http', port: 5984, kind: 'database' },
  neo4j: { protocol: 'tcp', port: 7687, kind: 'database' },
  clickhouse: { protocol: 'http', port: 8123, kind: 'database' },
  influxdb: { protocol: 'http', port: 8086, kind: 'database' },
  elasticsearch: { protocol: 'http', port: 9200, kind: 'database' },
  opensearch: { protocol: 'http', port: 9200, kind: 'database' },
  minio: { protocol: 'http', port: 9000, kind: 'database' },
  etcd: { protocol: 'grpc', port: 2379, kind: 'database' },
  redis: { protocol: 'tcp', port: 6379, kind: 'cache' },
  valkey: { protocol: 'tcp', port: 6379, kind: 'cache' },
  keydb: { protocol: 'tcp', port: 6379, kind: 'cache' },
  dragonfly: { protocol: 'tcp', port: 6379, kind: 'cache' },
  memcached: { protocol: 'tcp', port: 11211, kind: 'cache' },
  rabbitmq: { protocol: 'tcp', port: 5672, kind: 'broker' },
  activemq: { protocol: 'tcp', port: 61616, kind: 'broker' },
  kafka: { protocol: 'tcp', port: 9092, kind: 'broker' },
  redpanda: { protocol: 'tcp', port: 9092, kind: 'broker' },
  zookeeper: { protocol: 'tcp', port: 2181, kind: 'broker' },
  nats: { protocol: 'tcp', port: 4222, kind: 'broker' },
  mosquitto: { protocol: 'tcp', port: 1883, kind: 'broker' },
  pulsar: { protocol: 'tcp', port: 6650, kind: 'broker' },
  vault: { protocol: 'http', port: 8200, kind: 'other' },
  consul: { protocol: 'http', port: 8500, kind: 'other' },
  nginx: { protocol: 'http', port: 80, kind: 'other' },
  httpd: { protocol: 'http', port: 80, kind: 'other' },
  wordpress: { protocol: 'http', port: 80, kind: 'other' },
  keycloak: { protocol: 'http', port: 8080, kind: 'other' },
  grafana: { protocol: 'http', port: 3000, kind: 'other' },
  prometheus: { protocol: 'http', port: 9090, kind: 'other' },
  zipkin: { protocol: 'http', port: 9411, kind: 'other' },
};

/** Words of an image's name which say that it is about the software, not the software. */
const ABOUT_IT = new Set(
  `admin backup browser cli client commander connect console controller dashboard express exporter init insight
  manager metrics migrate operator proxy registry rest schema sqlpad tools ui web`.split(/\s+/),
);
const VENDOR_WORDS = new Set(['cp', 'eclipse', 'bitnami', 'apache', 'oss', 'debezium']);

/** Well-known ports: IANA's registry and the defaults of widely run software. */
const PORTS: ReadonlyMap<number, Protocol> = new Map<number, Protocol>([
  ...[
    80, 3000, 4200, 5000, 5601, 8000, 8001, 8008, 8080, 8081, 8082, 8083, 8085, 8088, 8090, 8123, 8200, 8500,
    8888, 9200, 9411, 15672,
  ].map((port): [number, Protocol] => [port, 'http']),
  ...[50051, 50052, 50053, 4317, 2379].map((port): [number, Protocol] => [port, 'grpc']),
  ...[
    21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 1025, 1433, 1521, 1883, 2181, 2888, 3306, 3888, 4222,
    5432, 5433, 5671, 5672, 6222, 6379, 6380, 6432, 6650, 7199, 7687, 8883, 9042, 9092, 9093, 9094, 9160,
    9300, 11211, 16379, 26257, 26379, 27017, 27018, 27019, 28015, 61613, 61616,
  ].map((port): [number, Protocol] => [port, 'tcp']),
]);

/** First word of a port's name or `appProtocol`, in the convention that Istio and Linkerd share. */
const NAMES: Readonly<Record<string, Protocol>> = {
  http: 'http',
  http1: 'http',
  http2: 'http',
  https: 'http',
  web: 'http',
  www: 'http',
  ws: 'http',
  wss: 'http',
  rest: 'http',
  api: 'http',
  graphql: 'http',
  h2c: 'grpc',
  grpc: 'grpc',
  tcp: 'tcp',
  tls: 'tcp',
  redis: 'tcp',
  mysql: 'tcp',
  mariadb: 'tcp',
  postgres: 'tcp',
  postgresql: 'tcp',
  pgsql: 'tcp',
  mongo: 'tcp',
  mongodb: 'tcp',
  amqp: 'tcp',
  amqps: 'tcp',
  kafka: 'tcp',
  zookeeper: 'tcp',
  memcache: 'tcp',
  memcached: 'tcp',
  nats: 'tcp',
  mqtt: 'tcp',
  smtp: 'tcp',
  imap: 'tcp',
  ldap: 'tcp',
  cql: 'tcp',
  db: 'tcp',
};

const SCHEMES: Readonly<Record<string, Protocol>> = {
  http: 'http',
  https: 'http',
  ws: 'http',
  wss: 'http',
  lb: 'http',
  grpc: 'grpc',
  grpcs: 'grpc',
};

/** A port that is for operators: never what a service is for. */
const SIDE_DOOR =
  /(?:^|[-_.])(?:metrics?|prom|prometheus|admin|health|healthz|healthcheck|liveness|probe|debug|jmx|pprof|profiling|status|monitor|monitoring|management|mgmt|stats|epmd|peer|election|leader|cluster|gossip|internode|transport|raft|follower)(?:$|[-_.])/;

export function protocolOfPortName(name: string): Protocol | undefined {
  const words = name.toLowerCase().split(/[^a-z0-9]+/);
  if (words[0] === 'kubernetes' && words[1] === 'io') return NAMES[words[2] ?? ''];
  return (
    NAMES[words[0] ?? ''] ?? (words.includes('grpc') ? 'grpc' : words.includes('http') ? 'http' : undefined)
  );
}

export function protocolOfPort(port: number): Protocol | undefined {
  return PORTS.get(port);
}

/** Of a URL's scheme: everything that is neither HTTP nor gRPC is a stream of bytes to Ringwall. */
export function protocolOfScheme(scheme: string): Protocol {
  return Object.hasOwn(SCHEMES, scheme) ? (SCHEMES[scheme] ?? 'tcp') : 'tcp';
}

/** What is known of the software in an image: `bitnami/postgresql:16` is a database, `redis-exporter` is not. */
export function knownImage(image: string): (Known & { readonly name: string }) | undefined {
  const base = image.replace(/@.*$/, '').split('/').at(-1) ?? '';
  const words = base
    .replace(/:.*$/, '')
    .toLowerCase()
    .split(/[-_.]/)
    .filter(word => !VENDOR_WORDS.has(word));
  const [name, ...rest] = words;
  if (name === undefined || rest.some(word => ABOUT_IT.has(word)) || !Object.hasOwn(IMAGES, name))
    return undefined;
  const known = IMAGES[name];
  return known === undefined ? undefined : { ...known, name };
}

export function isSideDoor(name: string | undefined): boolean {
  return name !== undefined && SIDE_DOOR.test(name.toLowerCase());
}
