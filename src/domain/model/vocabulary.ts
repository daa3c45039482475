import { CLASSIFICATIONS } from '#domain/rings';
import {
  DEFAULT_ALGORITHM,
  DEFAULT_EDGE_PORT,
  DEFAULT_ISSUER_PORT,
  DEFAULT_NAMESPACE,
  LOCAL_ALGORITHM,
} from './defaults.ts';
import { CLIENT_KINDS, METHODS, PROTOCOLS, TOKEN_ALGORITHMS } from './model.ts';
import {
  choice,
  either,
  language,
  list,
  map,
  object,
  optional,
  required,
  text,
  whole,
  type Read,
} from './shape.ts';

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const PATH = String.raw`\/[^\s?#\\]*`;

const name = text('a DNS label (lower-case letters, digits and `-`)', new RegExp(`^${LABEL}$`), 63);
// A last label of digits only would make the name an IPv4 address (URL Standard §3.5).
const hostName = text(
  'a DNS name in lower case',
  new RegExp(String.raw`^(?!(?:.*\.)?[0-9]+$)${LABEL}(?:\.${LABEL})*$`),
  253,
);
// SPIFFE-ID §2.1
const trustDomain = text(
  'a trust domain (lower-case letters, digits, `.`, `-` and `_`)',
  /^[a-z0-9._-]+$/,
  255,
);
const words = text('a text without control characters', /^[^\u0000-\u001f\u007f]+$/, 512);
const port = whole(1, 65_535);
const pathPattern = language('a path pattern', new RegExp(`^${PATH}$`), 1024);
const callText = language(
  'a call: a method and a path, or `connect`',
  new RegExp(`^(?:connect|(?:${METHODS.join('|')}) ${PATH})$`),
  1040,
);
const size = language(
  'a size: a number with `B`, `KiB`, `MiB` or `GiB`',
  /^[0-9]{1,10}(?:B|KiB|MiB|GiB)$/,
  16,
);
const limit = language(
  'a limit: `20/s burst 40 per client`',
  /^[0-9]{1,9}\/[smhd](?: burst [0-9]{1,9})? per (?:client|user|route)$/,
  64,
);
const lockout = language(
  'a lockout: `5 failures in 10m per client and account`',
  /^[0-9]{1,6} failures? in [0-9]{1,6}[smhd] per (?:client|account)(?: and (?:client|account))?$/,
  64,
);
const commandLine = language('a command', /\S/, 4096);
const origin = language('an origin', /^https?:\/\/[^\s/?#@]+$/, 300);
// RFC 6749 §3.3
const scope = text('a scope', /^[\x21\x23-\x5b\x5d-\x7e]+$/, 128);

const issuer = object('an issuer', {
  name: required(name, {
    meaning: 'How this issuer is called in the ledger and in messages.',
    example: 'shop',
  }),
  issuer: required(language('an issuer', /^(?:local|https?:\/\/[^\s?#]+)$/, 512), {
    meaning:
      'The issuer whose access tokens are accepted: its URL exactly as it stands in `iss` (RFC 8414 §2), or `local` for the built-in issuer that `ringwall up` starts. Plain http is accepted on loopback only.',
    example: 'https://id.example',
  }),
  audience: required(words, {
    meaning: 'What must stand in `aud` of its tokens (RFC 9068 §4).',
    example: 'boutique',
  }),
  algorithm: optional(choice('a signature algorithm', TOKEN_ALGORITHMS), {
    meaning: 'The one signature algorithm that is accepted of it (RFC 8725 §3.1).',
    default: `\`${DEFAULT_ALGORITHM}\`; \`${LOCAL_ALGORITHM}\` for the local issuer`,
    example: 'ES256',
  }),
  port: optional(port, {
    meaning: 'The loopback port of the local issuer. Its URL is `http://127.0.0.1:<port>`.',
    default: `\`${DEFAULT_ISSUER_PORT}\``,
    example: '4445',
  }),
});

const route = object('a route', {
  path: required(pathPattern, {
    meaning:
      'Which paths it answers. `*` is one segment; `**`, at the end only, is any number of them. The most specific route that matches decides.',
    example: '/cart/**',
  }),
  methods: required(list(choice('a method', METHODS), { max: METHODS.length }), {
    meaning: 'Which methods it answers. None follows from another: `GET` does not bring `HEAD`.',
    example: '[GET, POST]',
  }),
  to: required(name, { meaning: 'The service that answers; it speaks http or grpc.', example: 'frontend' }),
  clients: required(list(choice('a kind of client', CLIENT_KINDS), { max: CLIENT_KINDS.length }), {
    meaning:
      'Who is admitted. `anonymous` admits everybody, each under an id of its own; `user` whoever presents an access token of a declared issuer; `application` is kept for API keys and client certificates and admits nobody yet.',
    example: '[user]',
  }),
  scopes: optional(list(scope, { max: 32 }), {
    meaning: "Scopes that a user's token must all have. Only where `anonymous` is not admitted.",
    default: 'none',
    example: '[cart]',
  }),
  limits: optional(list(limit, { max: 8 }), {
    meaning:
      'How often it may be called, `<requests>/<s|m|h|d> [burst <requests>] per <client|user|route>`; all of them hold. Without `burst`, as many as `<requests>` may come at once.',
    default: 'by the classification of the service, see below',
    example: '[20/s burst 40 per client]',
  }),
  lockout: optional(lockout, {
    meaning:
      'Against guessing of passwords: after so many answers with status 401 or 403 within the window, further requests are refused, `<n> failures in <n><s|m|h|d> per <client|account|client and account>`.',
    default: 'none',
    example: '5 failures in 10m per client and account',
  }),
  account: optional(words, {
    meaning: 'The field of the form or JSON body that names the account. Required by a lockout per account.',
    default: 'none',
    example: 'name',
  }),
  maxRequest: optional(size, {
    meaning: 'How large the body of a request may be: `B`, `KiB`, `MiB` or `GiB`.',
    default: 'by the classification of the service, see below',
    example: '64KiB',
  }),
  maxResponse: optional(size, {
    meaning: 'How large the body of a response may be.',
    default: 'by the classification of the service, see below',
    example: '1MiB',
  }),
});

const edge = object('the edge', {
  listen: optional(language('`https` and a port', /^https [0-9]{1,5}$/, 16), {
    meaning: 'Where the gateway listens. There is no plaintext edge.',
    default: `\`https ${DEFAULT_EDGE_PORT}\``,
    example: 'https 4443',
  }),
  hosts: required(map(hostName, list(route, { min: 0, max: 20_000 }), { max: 1000 }), {
    meaning: 'The names under which the system is reached, each with its routes. Nothing else answers.',
    example: '{ shop.example: [] }',
  }),
});

const run = object('a run description', {
  command: required(either(commandLine, list(words, { max: 256, unique: false })), {
    meaning:
      'The program and its arguments. A text is split at spaces, quotes are honoured; no shell is involved.',
    example: '[node, server.js]',
  }),
  directory: optional(words, {
    meaning: 'Where it runs, relative to the folder of the model.',
    default: 'the folder of the model',
    example: 'services/cart',
  }),
  env: optional(
    map(
      text('the name of an environment variable', /^[A-Za-z_][A-Za-z0-9_]*$/, 128),
      { ...text('a text', /^[^\u0000]*$/, 32_768), bare: true },
      { max: 256 },
    ),
    {
      meaning:
        'Further environment variables. Those that Ringwall itself sets (`HOST`, `PORT`, `RINGWALL_…` and the addresses of calls and egress) cannot be given; `DATA_DIR` can: it names a directory that is kept for this service alone.',
      default: 'none',
      example: '{ LOG_LEVEL: debug }',
    },
  ),
});

const service = object('a service', {
  data: required(choice('a data classification', CLASSIFICATIONS), {
    meaning:
      'How sensitive its data is. It sets which rings it must have and how strict they are by default.',
    example: 'internal',
  }),
  listen: required(
    language('a protocol and a port', new RegExp(`^(?:${PROTOCOLS.join('|')}) [0-9]{1,5}$`), 16),
    {
      meaning:
        'The protocol that it speaks, `http`, `grpc` or `tcp`, and its port. Only its agent reaches it there.',
      example: 'http 8080',
    },
  ),
  namespace: optional(name, {
    meaning: 'The namespace in its identity, `spiffe://<trustDomain>/ns/<namespace>/sa/<service>`.',
    default: `\`${DEFAULT_NAMESPACE}\``,
    example: 'payments',
  }),
  image: optional(text('an image reference', /^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$/, 512), {
    meaning: 'The container image of the service.',
    default: 'none',
    example: 'registry.example/frontend:1.2',
  }),
  run: optional(either(commandLine, run), {
    meaning: 'How `ringwall up` starts it: a command, or a mapping with `command`, `directory` and `env`.',
    default: 'none: `ringwall up --stand-ins` plays it',
    example: 'node services/frontend.js',
  }),
  record: optional(choice('a record mode', ['durable', 'relaxed']), {
    meaning:
      'When a record must be on disk: `durable` before the caller sees the answer, `relaxed` within 100 ms. A full disk refuses durable transactions.',
    default: '`durable` for `confidential` and `restricted` data, else `relaxed`',
    example: 'durable',
  }),
  calls: optional(map(name, list(callText, { max: 10_000, unique: false }), { max: 10_000 }), {
    meaning:
      'Which services it calls and how: `<METHOD> <path pattern>`, for gRPC `POST /package.Service/Method`, for a tcp service `connect`. Everything else is refused.',
    default: 'none',
    example: '{ catalog: [GET /products, GET /products/*] }',
  }),
  egress: optional(list(origin, { min: 0, max: 1000 }), {
    meaning:
      'Which origins outside of the system it may reach: `https://host[:port]`; plain http on loopback only.',
    default: 'none',
    example: '[https://bank.example]',
  }),
});

/** The whole language of `ringwall.yaml`: every key with its shape, meaning, default and example. */
export const MODEL = object('a model', {
  apiVersion: required(choice('a version of the language', ['ringwall.dev/v1']), {
    meaning: 'The version of the language.',
    example: 'ringwall.dev/v1',
  }),
  system: required(name, { meaning: 'How the system is called.', example: 'boutique' }),
  trustDomain: required(trustDomain, {
    meaning: 'The SPIFFE trust domain of its identities. Changing it changes every identity.',
    example: 'boutique.internal',
  }),
  users: optional(
    object('the users section', {
      issuers: required(list(issuer, { min: 0, max: 32 }), {
        meaning: 'Who vouches for users, and how their tokens are verified.',
        example: '[{ name: shop, issuer: local, audience: boutique }]',
      }),
    }),
    { meaning: 'Who may sign in.', default: 'nobody', example: '{ issuers: [] }' },
  ),
  edge: optional(edge, {
    meaning: 'All that the outside can reach.',
    default: 'nothing',
    example: '{ hosts: {} }',
  }),
  services: required(map(name, service, { min: 1, max: 20_000 }), {
    meaning: 'The services of the system, by name.',
    example: '{ frontend: { data: internal, listen: http 8080 } }',
  }),
});

export type ModelRead = Read<typeof MODEL>;
export type IssuerRead = Read<typeof issuer>;
export type EdgeRead = Read<typeof edge>;
export type RouteRead = Read<typeof route>;
export type ServiceRead = Read<typeof service>;
export type RunRead = Read<typeof run>;
