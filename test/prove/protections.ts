import type { AgentBundle, BundleCall, GatewayBundle } from '#domain/bundle';
import { METHODS } from '#domain/model';
import { serviceIdentity } from '#domain/spiffe';
import type { Weakening } from '../lab/lab-grounds.ts';
import type { Edit } from '../lab/load-edited.ts';

/** One protection of the real parts, how it is switched off, and what must get through then. */
export type Protection = {
  readonly name: string;
  readonly edits?: readonly Edit[];
  readonly weakening?: Weakening;
  /** Ids of attacks, `vetting/path-*` for all that begin so, `!` for those that are not meant; the last that fits counts. */
  readonly attacks: readonly string[];
};

const HTTP = 'src/domain/http';
const PROXY = 'src/service/proxy';
const IDENTITY = 'src/service/identity';
const AGENT = 'src/service/agent';
const GATEWAY = 'src/service/gateway';

const LENIENT_HEADS: Edit = { file: `${HTTP}/decode-request.ts`, instead: 'test/lab/lenient-request.ts' };
const LENIENT_BODIES: Edit = { file: `${HTTP}/body-decoder.ts`, instead: 'test/lab/lenient-body.ts' };
const ANY_SIGNATURE: Edit = {
  file: `${IDENTITY}/signature.ts`,
  cut: 'try {',
  put: "if (text !== '') return 'good'; try {",
};
const ANY_CHAIN: Edit = {
  file: `${PROXY}/listener.ts`,
  cut: "rejectUnauthorized: security.kind === 'mtls'",
  put: 'rejectUnauthorized: false',
};
const ANY_EXPIRY: Edit = {
  file: `${AGENT}/hops.ts`,
  cut: 'peer === undefined || peer.notAfterMs <= this.#clock.nowMs()',
  put: 'peer === undefined',
};
const REVOKED_MAY_COME: Edit = {
  file: `${AGENT}/agent.ts`,
  cut: 'if (!identities.has(peer.identity) && !serials.has(peer.serial)) return true;',
  put: 'return true;',
};

export const PROTECTIONS: readonly Protection[] = [
  // ---- edge
  {
    name: "the gateway's table of routes",
    weakening: { gateway: routeEverything },
    attacks: [
      'edge/undeclared-path',
      'edge/undeclared-method',
      'edge/override-*',
      'edge/operator-paths',
      'edge/other-spelling',
    ],
  },
  {
    name: 'the list of hosts',
    edits: [
      {
        file: 'src/domain/policy/edge-policy.ts',
        cut: 'hosts.get(host);',
        put: 'hosts.get(host) ?? hosts.values().next().value;',
      },
      { file: `${GATEWAY}/edge-hop.ts`, cut: 'this.#parts.hosts.has(serverName)', put: 'false' },
    ],
    attacks: [
      'edge/undeclared-host',
      'edge/inner-service-as-host',
      'edge/forwarded-host',
      'edge/host-suffix',
    ],
  },
  {
    name: 'the list of methods',
    edits: [
      { file: 'src/domain/policy/edge-policy.ts', cut: 'if (methods.has(method)) return', put: 'return' },
      {
        file: `${HTTP}/decode-request.ts`,
        cut: "if (method === 'CONNECT' || method === 'TRACE') return 'refused-method';",
        put: '',
      },
      {
        file: `${HTTP}/decode-request.ts`,
        cut: 'code >= 0x41 && code <= 0x5a',
        put: '(code & ~0x20) >= 0x41',
      },
      {
        file: `${HTTP}/request-target.ts`,
        cut: "if (written === '*') {",
        put: "if (method === 'CONNECT') return { target: '/', rawPath: '/', rawQuery: '' }; if (written === '*') {",
      },
      { file: `${HTTP}/encode.ts`, cut: '{1,24}$/;', put: '{1,24}$/i;' },
    ],
    attacks: ['edge/method-*'],
  },

  // ---- transport
  {
    name: 'the demand for TLS',
    edits: [
      {
        file: `${PROXY}/listener.ts`,
        cut: "else this.#tls.emit('connection', socket);",
        put: `else socket.once('readable', () => {
          const first = socket.read();
          if (first === null) return;
          socket.unshift(first);
          if (first[0] === 0x16) this.#tls.emit('connection', socket);
          else this.#accept(socket, undefined, '');
        });`,
      },
      {
        ...ANY_EXPIRY,
        put: 'peer === undefined && (peer = { identity: "spiffe://lab.test/ns/default/sa/web" }, false)',
      },
    ],
    attacks: ['transport/plaintext-*'],
  },
  {
    name: 'the choice of TLS versions and suites',
    edits: [
      {
        file: `${PROXY}/listener.ts`,
        cut: 'ciphers: CIPHERS,',
        put: "ciphers: 'ALL:eNULL:aNULL:@SECLEVEL=0', dhparam: 'auto',",
      },
      {
        file: `${PROXY}/listener.ts`,
        cut: "minVersion: kind === 'mtls' ? 'TLSv1.3' : 'TLSv1.2'",
        put: "minVersion: 'TLSv1'",
      },
    ],
    attacks: ['transport/tls1*', 'transport/no-encryption', 'transport/no-authentication', 'transport/cbc'],
  },
  {
    name: 'forward secrecy',
    edits: [{ file: `${PROXY}/listener.ts`, cut: 'ciphers: CIPHERS,', put: "ciphers: 'ALL:@SECLEVEL=0'," }],
    weakening: { edgeKey: 'rsa' },
    attacks: ['transport/no-forward-secrecy'],
  },

  // ---- authentication of users
  {
    name: 'the demand for users',
    weakening: { gateway: bundle => changeRoutes(bundle, { clients: ['anonymous'], scopes: [] }) },
    attacks: ['authentication/no-token', 'authentication/token-in-query', 'authentication/identity-headers'],
  },
  {
    name: 'the demand that credentials which are shown are good',
    edits: [
      {
        file: `${GATEWAY}/edge-hop.ts`,
        cut: "reason: Stop['reason'], detail: string): Stop {",
        put: "reason, detail) { if (reason !== '') return Caller.anonymous('nobody');",
      },
      { file: `${HTTP}/fields.ts`, cut: 'authorization: SINGLE', put: 'authorization: PLAIN' },
    ],
    weakening: { gateway: bundle => changeRoutes(bundle, { clients: ['anonymous'], scopes: [] }) },
    attacks: [
      'authentication/token-opaque',
      'authentication/token-empty',
      'authentication/token-twice',
      'authentication/token-basic-credentials',
    ],
  },
  {
    name: 'the signatures of tokens',
    edits: [ANY_SIGNATURE],
    attacks: [
      'authentication/token-other-key',
      'authentication/token-signature-flipped',
      'authentication/token-payload-changed',
    ],
  },
  {
    name: 'one algorithm and one set of keys per issuer',
    edits: [{ file: `${IDENTITY}/token-verifier.ts`, instead: 'test/lab/naive-tokens.ts' }],
    attacks: [
      'authentication/token-alg-none',
      'authentication/token-alg-none-mixed-case',
      'authentication/token-hs256-with-public-key',
      'authentication/token-signature-stripped',
      'authentication/token-embedded-jwk',
      'authentication/token-jku',
      'authentication/token-kid-path',
      'authentication/token-kid-injection',
    ],
  },
  {
    name: 'one spelling of each token',
    edits: [
      {
        file: `${IDENTITY}/token-verifier.ts`,
        cut: 'if (token.length > MAX_TOKEN_CHARS)',
        put: `token = token.split('.').map(part => Buffer.from(part, 'base64url').toString('base64url')).join('.');
          if (token.length > MAX_TOKEN_CHARS)`,
      },
    ],
    attacks: [
      'authentication/token-signature-padded',
      'authentication/token-signature-unused-bits',
      'authentication/token-inner-whitespace',
    ],
  },
  {
    name: 'signatures, and what header and claims of a token must be',
    edits: [
      ANY_SIGNATURE,
      { file: 'src/domain/jwt/jws.ts', cut: "'crit', ", put: '' },
      { file: 'src/domain/jwt/jws.ts', cut: 'MAX_TOKEN_CHARS = 8192', put: 'MAX_TOKEN_CHARS = 100_000' },
      { file: 'src/domain/jwt/access-token.ts', cut: 'if (!isAccessTokenType(jws.typ))', put: 'if (false)' },
      {
        file: 'src/domain/jwt/access-token.ts',
        cut: 'if (jws.alg !== expected.algorithm)',
        put: 'if (false)',
      },
      {
        file: 'src/domain/jwt/access-token.ts',
        cut: 'if (token.issuer !== expected.issuer)',
        put: 'if (false)',
      },
      {
        file: `${IDENTITY}/token-verifier.ts`,
        cut: 'this.#lanes.get(parsed.token.issuer);',
        put: 'this.#lanes.values().next().value;',
      },
      { file: 'src/domain/jwt/strict-json.ts', cut: "if (keys.has(key)) return 'duplicate-key';", put: '' },
      { file: `${HTTP}/limits.ts`, cut: 'maxLineBytes: 8_192', put: 'maxLineBytes: 100_000' },
    ],
    attacks: [
      'authentication/token-other-algorithm',
      'authentication/token-critical-extension',
      'authentication/token-wrong-issuer',
      'authentication/token-id-token',
      'authentication/token-duplicate-claim',
      'authentication/token-oversized',
    ],
  },
  {
    name: 'the end of a token',
    edits: [{ file: 'src/domain/jwt/access-token.ts', cut: 'if (expiresAtMs <= nowMs)', put: 'if (false)' }],
    attacks: ['authentication/token-expired'],
  },
  {
    name: 'the audience of a token',
    edits: [
      {
        file: 'src/domain/jwt/access-token.ts',
        cut: 'audiences.includes(expected)',
        put: 'audiences.length > 0',
      },
    ],
    attacks: ['authentication/token-wrong-audience'],
  },

  // ---- authentication of services
  {
    name: 'the chains of certificates',
    edits: [ANY_CHAIN],
    attacks: [
      'authentication/certificate-self-signed',
      'authentication/certificate-foreign-authority',
      'authentication/certificate-not-yet-valid',
      'authentication/certificate-leaf-as-authority',
    ],
  },
  {
    name: 'chains, and the end of certificates',
    edits: [ANY_CHAIN, ANY_EXPIRY],
    attacks: ['authentication/certificate-expired'],
  },
  {
    name: 'the demand for an X.509-SVID',
    edits: [
      ANY_CHAIN,
      {
        file: `${PROXY}/listener.ts`,
        cut: "certificate === undefined ? 'no certificate' : Peer.read(certificate, trustDomain)",
        put: "{ kind: 'peer', identity: 'spiffe://lab.test/ns/default/sa/web', serial: '0', notAfterMs: Infinity }",
      },
    ],
    attacks: ['authentication/no-certificate', 'authentication/certificate-edge-certificate'],
  },
  {
    name: 'the look at revocations when a peer comes',
    edits: [REVOKED_MAY_COME],
    attacks: ['authentication/revoked-new-handshake'],
  },
  {
    name: 'the cutting of connections',
    edits: [{ file: `${PROXY}/engine.ts`, cut: 'this.#index.cut(this.#revoked);', put: '' }],
    attacks: ['authentication/revoked-live-connection'],
  },
  {
    name: 'the ban on resuming sessions',
    edits: [
      REVOKED_MAY_COME,
      { file: `${PROXY}/listener.ts`, cut: "kind === 'mtls' ? constants.SSL_OP_NO_TICKET : 0", put: '0' },
    ],
    attacks: ['authentication/revoked-resumption'],
  },

  // ---- rate
  {
    name: 'limits and lockouts',
    weakening: { gateway: bundle => changeRoutes(bundle, { limits: [], lockout: null }) },
    attacks: ['rate/flood-*', 'rate/guess-*'],
  },
  {
    name: 'limits on size',
    weakening: { gateway: bundle => changeRoutes(bundle, { maxRequestBytes: 1_000_000_000 }) },
    attacks: ['rate/body-*'],
  },
  {
    name: 'the time for a head',
    weakening: { settings: { headTimeoutMs: 60_000 } },
    attacks: ['rate/slow-head'],
  },

  // ---- vetting
  {
    name: 'the strict reading of messages',
    edits: [LENIENT_HEADS, LENIENT_BODIES],
    attacks: ['vetting/*', '!vetting/path-*', 'vetting/path-fragment'],
  },
  {
    name: 'the strict reading of paths',
    edits: [{ file: 'src/domain/path/normalise-path.ts', instead: 'test/lab/lenient-path.ts' }],
    attacks: ['vetting/path-*', '!vetting/path-fragment'],
  },

  // ---- authorization
  {
    name: "the agents' table of calls, inbound",
    weakening: { agent: bundle => changeServices(bundle, allowAllCallers) },
    attacks: [
      'authorization/undeclared-pair',
      'authorization/undeclared-method',
      'authorization/undeclared-path',
      'authorization/plays-gateway',
    ],
  },
  {
    name: "the agents' table of calls, outbound",
    weakening: { agent: bundle => changeServices(bundle, allowAllCallees) },
    attacks: ['authorization/own-agent-method', 'authorization/own-agent-path'],
  },
  {
    name: 'scopes',
    weakening: { gateway: bundle => changeRoutes(bundle, { scopes: [] }) },
    attacks: ['authorization/without-scope', 'authorization/scope-lookalike'],
  },
  {
    name: 'that only the gateway is believed about users',
    edits: [
      {
        file: `${AGENT}/hops.ts`,
        cut: 'caller.identity === this.#gateway ? TOLD_BY_GATEWAY',
        put: "caller.identity !== '' ? TOLD_BY_GATEWAY",
      },
      {
        file: `${PROXY}/pipeline.ts`,
        cut: "caller?.hasToken === true ? caller.id : ''",
        put: "caller?.hasToken === true ? caller.id : (intake.head.headers.get('x-ringwall-user') ?? '')",
      },
    ],
    attacks: ['authorization/claims-user'],
  },

  // ---- network
  {
    name: 'networks of their own',
    weakening: { network: 'undivided' },
    attacks: ['network/*'],
  },

  // ---- audit
  {
    name: 'the findings of the verifier',
    edits: [{ file: 'src/service/ledger/verify-ledger.ts', cut: 'this.#findings.push(', put: '[].push(' }],
    attacks: [
      'audit/byte-flipped',
      'audit/record-deleted',
      'audit/records-swapped',
      'audit/log-truncated',
      'audit/history-rewritten',
      'audit/foreign-signature',
    ],
  },
  {
    name: 'a ledger that nobody has changed',
    weakening: { ledger: 'damaged' },
    attacks: ['audit/intact'],
  },
  {
    name: 'request ids of the gateway',
    edits: [{ file: `${GATEWAY}/edge-hop.ts`, cut: 'believesCaller = false', put: 'believesCaller = true' }],
    attacks: ['audit/chosen-request-id'],
  },
  {
    name: 'the journal',
    weakening: { loses: () => true },
    attacks: ['audit/record-injection', 'audit/attacks-recorded'],
  },
];

const AT = { file: 'lab.yaml', line: 1, column: 1 };
const EVERYTHING: BundleCall[] = METHODS.map(method => ({
  kind: 'http',
  rule: 'weak',
  method,
  path: '/**',
  at: AT,
}));

function changeRoutes(
  bundle: GatewayBundle,
  change: Partial<GatewayBundle['hosts'][number]['routes'][number]>,
): GatewayBundle {
  const hosts = bundle.hosts.map(host => ({
    ...host,
    routes: host.routes.map(route => ({ ...route, ...change })),
  }));
  return { ...bundle, hosts };
}

/** One route more, to where the first leads, for whatever no other route is for. */
function routeEverything(bundle: GatewayBundle): GatewayBundle {
  const hosts = bundle.hosts.map(({ host, routes: [first, ...rest] }) => {
    if (first === undefined) return { host, routes: [] };
    const more = { ...first, rule: 'weak', path: '/**', methods: [...METHODS] };
    return { host, routes: [first, ...rest, more] };
  });
  return { ...bundle, hosts };
}

type Service = AgentBundle['services'][number];

function changeServices(
  bundle: AgentBundle,
  change: (service: Service, bundle: AgentBundle) => Service,
): AgentBundle {
  return { ...bundle, services: bundle.services.map(service => change(service, bundle)) };
}

function allowAllCallers(service: Service, { services, trustDomain }: AgentBundle): Service {
  if (service.protocol === 'tcp') return service;
  const everybody = services.map(({ name }) => ({
    identity: serviceIdentity(trustDomain, 'default', name),
    service: name,
    calls: EVERYTHING,
  }));
  return {
    ...service,
    callers: [...everybody, ...service.callers.filter(({ service }) => service === 'gateway')],
  };
}

function allowAllCallees(service: Service): Service {
  const outbound = service.outbound.map(target =>
    target.to.protocol === 'tcp' ? target : { ...target, calls: EVERYTHING },
  );
  return { ...service, outbound };
}
