import type { Position } from '#domain/model';

/** A text that configures a workload, and may name what the workload calls. */
export type Setting = {
  /** For comments: `env PAYMENT_SERVICE_ADDR`, `args`, `ConfigMap shop-config key application.yml`. */
  readonly from: string;
  /** The name that the value has (`PAYMENT_SERVICE_ADDR`, `spring.redis.host`); empty for free text. */
  readonly name: string;
  /** Variables expanded; what no manifest tells stands as `UNKNOWN`. */
  readonly value: string;
  /** Scripts and prose: a bare word in them is a word, not an address. */
  readonly form: 'value' | 'script';
  /** One line of a configuration file: there, a URL can also be a link in a text. */
  readonly isFileLine?: true;
  readonly locate: Locate;
};

/** Finds the line of a manifest on which a token of the value stands. */
export type Locate = (token: string, occurrence: number, lineOfValue?: number) => Position;

/** Stands in an expanded value for what the manifests do not tell. */
export const UNKNOWN = '\uFFFC';

/** Words of a setting's name that say: the value is where something is. */
const ADDRESS_WORDS = new Set(
  `ADDR ADDRS ADDRESS ADDRESSES BOOTSTRAP BROKER BROKERS DSN ENDPOINT ENDPOINTS HOST HOSTNAME HOSTNAMES HOSTS NODES
  PROXY REGISTRY SEED SEEDS SENTINEL SENTINELS SERVER SERVERS UPSTREAM UPSTREAMS URI URIS URL URLS TARGETS`.split(
    /\s+/,
  ),
);

/** Words that, when they stand last, say that the value is something else, whatever stands before them. */
const OTHER_LAST_WORDS = new Set(
  `CERT CLASS CLIENT COUNT DATABASE DB DIALECT DIR DRIVER ENABLED ENGINE ENV ENVIRONMENT FILE FORMAT GROUP ID IMAGE
  KEY KIND LEVEL MODE NAMESPACE PASS PASSWORD PATH PORT PREFIX PROFILE PROTOCOL REGION REPLICAS SCHEME SECRET TAG TIMEOUT
  TOKEN TYPE USER USERNAME VERSION VHOST`.split(/\s+/),
);

/** Words that say that the value names the workload itself, who may come in, or what is not to be proxied. */
const OWN_WORDS = new Set(
  `ADVERTISED ALLOWED ALLOWLIST BIND CALLBACK CORS DOMAIN DOMAINS EXTERNAL HOSTALIASES LISTEN LISTENERS NOPROXY ORIGIN
  ORIGINS PUBLIC REDIRECT REFERER REFERRER VIRTUAL WHITELIST XMLNS SCHEMALOCATION`.split(/\s+/),
);

/** `OTEL_SERVICE_NAME` and its like: how a workload calls itself. */
const TELEMETRY_WORDS = new Set([
  'OTEL',
  'DD',
  'JAEGER',
  'APM',
  'APP',
  'APPLICATION',
  'INSTANA',
  'TRACING',
  'LOG',
  'SPRING',
]);

/** Whether a bare word under this name is an address: `DB_HOST` yes, `DB_NAME` no. */
export function looksLikeAddress(name: string, host: string): boolean {
  const words = wordsOf(name);
  const last = words.at(-1);
  if (last === undefined || OTHER_LAST_WORDS.has(last) || isNotAboutOthers(name)) return false;
  if (last === 'NAME') return isNameOfAService(words, host);
  if (last === 'SERVICE' || last === 'SVC')
    return words.length > 1 && !words.some(word => TELEMETRY_WORDS.has(word));
  return words.some(word => ADDRESS_WORDS.has(word));
}

/** Whether whatever stands under this name is no call: the workload's own names, CORS origins, callbacks, images. */
export function isNotAboutOthers(name: string): boolean {
  const words = wordsOf(name);
  if (words.some(word => OWN_WORDS.has(word))) return true;
  if (words.includes('NO') && words.includes('PROXY')) return true;
  return (
    ['IMAGE', 'TAG', 'VERSION', 'SERVERNAME'].includes(words.at(-1) ?? '') ||
    words.join('_') === 'SERVER_NAME'
  );
}

/** `paymentServiceUrl`, `payment.service-url` and `PAYMENT_SERVICE_URL` are the words PAYMENT, SERVICE and URL. */
function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toUpperCase()
    .split(/[^A-Z0-9]+/)
    .map(word => word.replace(/\d+$/, ''))
    .filter(word => word !== '');
}

/** `DB_HOST_NAME` is an address; `REDIS_SERVICE_NAME` is one of `redis-master`; `SERVICE_NAME` is the workload's own. */
function isNameOfAService(words: readonly string[], host: string): boolean {
  const before = words.at(-2);
  if (before === 'HOST' || before === 'DNS') return true;
  if (before !== 'SERVICE' && before !== 'SERVER') return false;
  const subject = words.slice(0, -2);
  if (subject.some(word => TELEMETRY_WORDS.has(word))) return false;
  const hostWords = wordsOf(host);
  return subject.some(word => hostWords.includes(word));
}
