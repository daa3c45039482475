import { TOKEN } from './octets.ts';

/** Why a field from a peer is never passed on. */
export type DropCause =
  /** RFC 9110 §7.6.1: means this connection only */
  | 'hop-by-hop'
  /** set by Ringwall; believed by the services behind it */
  | 'ringwall'
  /** claims who the client is, or how it came */
  | 'client-address'
  /** claims another host, path or method than the one decided on */
  | 'request-rewrite'
  /** claims an identity that some proxy verified */
  | 'verified-identity'
  /** CVE-2016-5385: becomes the environment variable HTTP_PROXY */
  | 'httpoxy';

/** What is known of one field name. */
export type Field = {
  /** In lower case; one string object per name, so that comparing is cheap. */
  readonly name: string;
  readonly codes: Uint8Array;
  /** At most one line in a request: a second one is two readings. */
  readonly single: boolean;
  /** At most one line in a response. */
  readonly singleInResponse: boolean;
  readonly drop: DropCause | undefined;
  /** Host, the two lengths and what is of this hop: written by the encoders alone. */
  readonly isFraming: boolean;
  /** How it starts on the wire, with the end of the line before it. */
  readonly line: string;
};

type FieldFacts = { readonly single?: 'request' | 'both'; readonly drop?: DropCause };

const SINGLE: FieldFacts = { single: 'request' };
const ONE: FieldFacts = { single: 'both' };
const HOP: FieldFacts = { drop: 'hop-by-hop' };
const OURS: FieldFacts = { single: 'request', drop: 'ringwall' };
const ADDRESS: FieldFacts = { drop: 'client-address' };
const REWRITE: FieldFacts = { drop: 'request-rewrite' };
const IDENTITY: FieldFacts = { drop: 'verified-identity' };
const PLAIN: FieldFacts = {};

/** Every field name of which anything is known. The only list of them, with `RESERVED_PREFIXES`. */
const FACTS: Readonly<Record<string, FieldFacts>> = {
  // routing and framing
  host: ONE,
  'content-length': ONE,
  'transfer-encoding': { single: 'both', drop: 'hop-by-hop' },
  connection: HOP,
  'keep-alive': HOP,
  'proxy-connection': HOP,
  te: HOP,
  upgrade: { single: 'request', drop: 'hop-by-hop' },
  'http2-settings': HOP,
  'proxy-authenticate': HOP,
  'proxy-authorization': { single: 'request', drop: 'hop-by-hop' },
  'proxy-authentication-info': HOP,
  trailer: PLAIN,
  // one value by definition
  'content-type': ONE,
  'content-range': ONE,
  'content-location': SINGLE,
  'content-disposition': SINGLE,
  location: ONE,
  authorization: SINGLE,
  expect: SINGLE,
  'user-agent': SINGLE,
  referer: SINGLE,
  origin: SINGLE,
  from: SINGLE,
  date: SINGLE,
  range: SINGLE,
  'if-range': SINGLE,
  'if-modified-since': SINGLE,
  'if-unmodified-since': SINGLE,
  'max-forwards': SINGLE,
  'access-control-request-method': SINGLE,
  'sec-websocket-key': SINGLE,
  'sec-websocket-version': SINGLE,
  'idempotency-key': SINGLE,
  dpop: SINGLE,
  'x-api-key': SINGLE,
  // ours
  'x-ringwall-caller': OURS,
  'x-ringwall-client': OURS,
  'x-ringwall-user': OURS,
  'x-ringwall-issuer': OURS,
  'x-ringwall-scopes': OURS,
  'x-ringwall-anonymous': OURS,
  'x-request-id': { drop: 'ringwall' },
  traceparent: { drop: 'ringwall' },
  tracestate: { drop: 'ringwall' },
  // claims
  proxy: { drop: 'httpoxy' },
  forwarded: ADDRESS,
  'forwarded-for': ADDRESS,
  'x-forwarded': ADDRESS,
  'x-real-ip': ADDRESS,
  'x-client-ip': ADDRESS,
  'x-cluster-client-ip': ADDRESS,
  'x-originating-ip': ADDRESS,
  'x-remote-addr': ADDRESS,
  'x-remote-ip': ADDRESS,
  'client-ip': ADDRESS,
  'true-client-ip': ADDRESS,
  'fastly-client-ip': ADDRESS,
  'proxy-client-ip': ADDRESS,
  'wl-proxy-client-ip': ADDRESS,
  'x-appengine-user-ip': ADDRESS,
  'front-end-https': ADDRESS,
  'x-url-scheme': ADDRESS,
  'x-scheme': ADDRESS,
  'x-host': REWRITE,
  'x-http-host-override': REWRITE,
  'x-method-override': REWRITE,
  'x-http-method': REWRITE,
  'x-http-method-override': REWRITE,
  'remote-user': IDENTITY,
  'x-endpoint-api-userinfo': IDENTITY,
  'x-apigateway-api-userinfo': IDENTITY,
  // common, so that decoding need not make their names anew
  accept: PLAIN,
  'accept-charset': PLAIN,
  'accept-encoding': PLAIN,
  'accept-language': PLAIN,
  'accept-ranges': PLAIN,
  'access-control-allow-origin': PLAIN,
  'access-control-request-headers': PLAIN,
  age: PLAIN,
  allow: PLAIN,
  'cache-control': PLAIN,
  'content-encoding': PLAIN,
  'content-language': PLAIN,
  'content-security-policy': PLAIN,
  cookie: PLAIN,
  dnt: PLAIN,
  etag: PLAIN,
  expires: PLAIN,
  'if-match': PLAIN,
  'if-none-match': PLAIN,
  'last-modified': PLAIN,
  link: PLAIN,
  pragma: PLAIN,
  priority: PLAIN,
  'referrer-policy': PLAIN,
  'retry-after': PLAIN,
  'sec-ch-ua': PLAIN,
  'sec-ch-ua-mobile': PLAIN,
  'sec-ch-ua-platform': PLAIN,
  'sec-fetch-dest': PLAIN,
  'sec-fetch-mode': PLAIN,
  'sec-fetch-site': PLAIN,
  'sec-fetch-user': PLAIN,
  'sec-gpc': PLAIN,
  server: PLAIN,
  'set-cookie': PLAIN,
  'strict-transport-security': PLAIN,
  'upgrade-insecure-requests': PLAIN,
  vary: PLAIN,
  via: PLAIN,
  'www-authenticate': PLAIN,
  'x-content-type-options': PLAIN,
  'x-frame-options': PLAIN,
  'x-powered-by': PLAIN,
  'x-requested-with': PLAIN,
};

/** Families of names of which every member is a claim that services may believe. */
const RESERVED_PREFIXES: readonly (readonly [prefix: string, cause: DropCause])[] = [
  ['x-ringwall-', 'ringwall'],
  ['x-forwarded-', 'client-address'],
  ['cf-connecting-', 'client-address'],
  ['x-envoy-', 'request-rewrite'], // CVE-2023-27487, CVE-2024-45806
  ['x-original-', 'request-rewrite'], // Symfony, IIS: path and host by header
  ['x-rewrite-', 'request-rewrite'],
  ['x-middleware-', 'request-rewrite'], // CVE-2025-29927
  ['x-accel-', 'request-rewrite'],
  ['x-client-cert', 'verified-identity'],
  ['x-ssl-', 'verified-identity'],
  ['ssl-client-', 'verified-identity'],
  ['x-arr-', 'verified-identity'],
  ['x-remote-user', 'verified-identity'],
  ['x-webauth-', 'verified-identity'],
  ['x-auth-request-', 'verified-identity'],
  ['x-authenticated-', 'verified-identity'],
  ['x-goog-authenticated-', 'verified-identity'],
  ['x-goog-iap-', 'verified-identity'],
  ['x-ms-client-principal', 'verified-identity'],
  ['x-amzn-oidc-', 'verified-identity'],
  ['x-amzn-mtls-', 'verified-identity'],
  ['x-consumer-', 'verified-identity'],
  ['x-credential-', 'verified-identity'],
];

/** Whether `name`, in lower case, belongs to a reserved family. */
export function isReservedPrefix(name: string): boolean {
  const family = PREFIXES_BY_START.get(name.slice(0, 3));
  return family !== undefined && family.some(prefix => name.startsWith(prefix));
}

const PREFIXES_BY_START: ReadonlyMap<string, readonly string[]> = Map.groupBy(
  RESERVED_PREFIXES.map(([prefix]) => prefix),
  prefix => prefix.slice(0, 3),
);

/** Known fields by lower-case name. */
export const FIELDS: ReadonlyMap<string, Field> = new Map(
  Object.entries(FACTS).map(([name, facts]) => [
    name,
    {
      name,
      codes: Uint8Array.from(name, character => character.charCodeAt(0)),
      single: facts.single !== undefined,
      singleInResponse: facts.single === 'both',
      drop: facts.drop,
      isFraming: facts.drop === 'hop-by-hop' || name === 'host' || name === 'content-length',
      line: `\r\n${name}: `,
    },
  ]),
);

const SLOTS = 1024;

/** Known fields by hash of name: `FIELD_SLOTS[hash & (SLOTS - 1)]`. */
const FIELD_SLOTS: readonly (readonly Field[])[] = slots();

/** One step of the hash by which `fieldAt` looks up names. @param code lower-case */
export function hashStep(hash: number, code: number): number {
  return (Math.imul(hash, 31) + code) | 0;
}

/** The known field whose name stands, in any letter case, at `start` of `buffer`. */
export function fieldAt(hash: number, buffer: Uint8Array, start: number, length: number): Field | undefined {
  const slot = FIELD_SLOTS[hash & (SLOTS - 1)]!;
  search: for (let nth = 0; nth < slot.length; nth++) {
    const field = slot[nth]!;
    const codes = field.codes;
    if (codes.length !== length) continue;
    for (let index = 0; index < length; index++) {
      if (codes[index] !== TOKEN[buffer[start + index]!]) continue search;
    }
    return field;
  }
  return undefined;
}

function slots(): Field[][] {
  const table: Field[][] = Array.from({ length: SLOTS }, () => []);
  for (const field of FIELDS.values()) {
    let hash = 0;
    for (const code of field.codes) hash = hashStep(hash, code);
    table[hash & (SLOTS - 1)]!.push(field);
  }
  return table;
}
