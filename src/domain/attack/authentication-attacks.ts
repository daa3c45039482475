import type { Reason } from '#domain/decision';
import { shot } from './shot.ts';
import {
  CERTIFICATE_FORGERIES,
  TOKEN_FORGERIES,
  type Attack,
  type CertificateForgery,
  type CertificateRecipe,
  type Shot,
  type TokenForgery,
} from './attack.ts';
import { edgeProbe, legitimate, messageOf, messageOfCall, type EdgeEntry, type Field } from './field.ts';

const REFUSED: readonly Reason[] = [
  'token-malformed',
  'token-invalid',
  'token-expired',
  'credentials-missing',
];

type Facts = { readonly title: string; readonly references: readonly string[] };

const TOKEN_FACTS: Readonly<Record<TokenForgery, Facts>> = {
  expired: { title: 'shows a token that has expired', references: ['CWE-613', 'ASVS 9.2.1'] },
  'other-key': { title: 'shows a token signed by another key', references: ['CWE-347', 'ASVS 9.1.1'] },
  'alg-none': {
    title: 'shows a token with alg none',
    references: ['CWE-347', 'CVE-2015-2951', 'RFC 8725 §3.1'],
  },
  'alg-none-mixed-case': { title: 'shows a token with alg nOnE', references: ['CWE-347', 'CVE-2020-28042'] },
  'hs256-with-public-key': {
    title: 'signs a token with HS256 and the public key',
    references: ['CWE-327', 'CVE-2016-10555', 'RFC 8725 §3.1'],
  },
  'other-algorithm': {
    title: 'shows a token signed with another algorithm',
    references: ['CWE-327', 'ASVS 9.1.2'],
  },
  'signature-stripped': {
    title: 'shows a token without its signature',
    references: ['CWE-347', 'ASVS 9.1.1'],
  },
  'signature-flipped': {
    title: 'shows a token with one bit of the signature flipped',
    references: ['CWE-347'],
  },
  'signature-padded': { title: 'pads the signature with =', references: ['CWE-347', 'RFC 7515 §2'] },
  'signature-unused-bits': {
    title: 'flips the unused bits of the last character',
    references: ['CWE-347', 'RFC 4648 §3.5'],
  },
  'inner-whitespace': { title: 'puts a space inside of the token', references: ['CWE-20', 'RFC 7515 §2'] },
  'payload-changed': {
    title: 'changes the subject and keeps the signature',
    references: ['CWE-345', 'ASVS 9.1.1'],
  },
  'duplicate-claim': { title: 'says sub twice', references: ['CWE-436', 'RFC 7519 §4'] },
  'embedded-jwk': {
    title: 'brings its own key in the header (jwk)',
    references: ['CVE-2018-0114', 'ASVS 9.1.3'],
  },
  jku: { title: 'names its own key server in the header (jku)', references: ['CWE-918', 'RFC 8725 §3.10'] },
  'kid-path': { title: 'names a file as key id', references: ['CWE-22', 'RFC 8725 §3.10'] },
  'kid-injection': { title: 'puts SQL into the key id', references: ['CWE-89', 'RFC 8725 §3.10'] },
  'critical-extension': {
    title: 'demands an extension that nobody understands (crit)',
    references: ['RFC 7515 §4.1.11'],
  },
  'wrong-audience': {
    title: 'shows a token made for another audience',
    references: ['CWE-863', 'ASVS 9.2.3', 'RFC 8725 §3.9'],
  },
  'wrong-issuer': {
    title: 'shows a token of an undeclared issuer',
    references: ['CWE-346', 'RFC 8725 §3.8'],
  },
  'id-token': {
    title: 'shows an ID token in place of an access token',
    references: ['ASVS 9.2.2', 'RFC 9068 §4'],
  },
  opaque: { title: 'shows something that is no token', references: ['CWE-287', 'API2:2023'] },
  empty: { title: 'shows an empty Bearer credential', references: ['CWE-287', 'CVE-2026-85595'] },
  oversized: { title: 'shows a token of 16 KiB', references: ['CWE-770', 'API4:2023'] },
  twice: { title: 'sends two Authorization fields', references: ['CWE-444', 'CVE-2020-25017'] },
  'basic-credentials': {
    title: 'shows a name and password where a token belongs',
    references: ['CWE-287', 'RFC 6750 §2.1'],
  },
};

const noToken: Attack = {
  id: 'authentication/no-token',
  ring: 'authentication',
  vantage: 'outside',
  title: 'comes to a user route without a token',
  references: ['API2:2023', 'CWE-306', 'ASVS 6.3.1'],
  aim: field =>
    userEntries(field).map(entry =>
      shot(noToken, {
        place: entry.route.rule,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path}`,
        probe: edgeProbe(entry, messageOf(entry.method, entry.path), { kind: 'none' }),
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['credentials-missing'] },
      }),
    ),
};

const tokenInQuery: Attack = {
  id: 'authentication/token-in-query',
  ring: 'authentication',
  vantage: 'user',
  title: 'shows a token in the query string',
  references: ['CWE-598', 'RFC 6750 §5.3'],
  aim: field =>
    userEntries(field).map(entry =>
      shot(tokenInQuery, {
        place: entry.route.rule,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path}?access_token=…`,
        probe: edgeProbe(entry, messageOf(entry.method, `${entry.path}?access_token=forged`), {
          kind: 'none',
        }),
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['credentials-missing'] },
      }),
    ),
};

const spoofedIdentity: Attack = {
  id: 'authentication/identity-headers',
  ring: 'authentication',
  vantage: 'outside',
  title: 'claims to be a user by identity headers in several spellings',
  references: ['CWE-290', 'API2:2023', 'GHSA-x677-9fxg-v5c5'],
  aim: field =>
    userEntries(field).map(entry =>
      shot(spoofedIdentity, {
        place: entry.route.rule,
        service: entry.service,
        target: `${entry.host}: ${entry.method} ${entry.path}`,
        probe: edgeProbe(
          entry,
          messageOf(entry.method, entry.path, [
            ['X-Ringwall-User', 'admin'],
            ['X_Ringwall_User', 'admin'],
            ['x.ringwall.user', 'admin'],
            ['X-Ringwall-Client', 'user:admin'],
            ['X-Ringwall-Caller', 'spiffe://undeclared/ns/ringwall/sa/gateway'],
            ['X-Forwarded-User', 'admin'],
            ['X-Real-IP', '127.0.0.1'],
          ]),
          { kind: 'none' },
        ),
        control: legitimate(entry),
        expect: { kind: 'refused', reasons: ['credentials-missing'] },
      }),
    ),
};

const forgedTokens = TOKEN_FORGERIES.map(forgery => {
  const attack: Attack = {
    id: `authentication/token-${forgery}`,
    ring: 'authentication',
    vantage: 'outside',
    ...TOKEN_FACTS[forgery],
    aim: field =>
      tokenTargets(field, forgery).map(entry =>
        shot(attack, {
          place: entry.route.rule,
          service: entry.service,
          target: `${entry.host}: ${entry.method} ${entry.path}`,
          probe: edgeProbe(entry, messageOf(entry.method, entry.path), {
            kind: 'forged',
            forgery,
            scopes: entry.route.scopes,
          }),
          control: legitimate(entry),
          // Two fields of one name are already ambiguous as HTTP, and a token of 16 KiB fits in no header.
          expect: { kind: 'refused', reasons: [...REFUSED, ...(EARLIER[forgery] ?? [])] },
        }),
      ),
  };
  return attack;
});

const EARLIER: Readonly<Partial<Record<TokenForgery, readonly Reason[]>>> = {
  twice: ['malformed-request', 'ambiguous-framing'],
  oversized: ['headers-too-large', 'malformed-request'],
  'inner-whitespace': ['malformed-request'],
};

/**
 * Expired and forged tokens at every user route; the rest of the family at one route of each service. Where a service
 * has open routes only, there: who shows a credential must show a good one.
 */
function tokenTargets(field: Field, forgery: TokenForgery): readonly EdgeEntry[] {
  if (!field.hasTokens) return [];
  const routes = userEntries(field);
  const services = new Set(routes.map(({ service }) => service));
  const open = field.doors.filter(
    ({ service, route }) => !services.has(service) && route.lockout === undefined,
  );
  if (forgery === 'expired' || forgery === 'other-key') return [...routes, ...open];
  return [
    ...[...services].flatMap(service => routes.find(entry => entry.service === service) ?? []),
    ...open,
  ];
}

function userEntries(field: Field): readonly EdgeEntry[] {
  return field.edgeEntries.filter(
    ({ token, route }) => token.kind === 'valid' && route.lockout === undefined,
  );
}

const CERTIFICATE_FACTS: Readonly<Record<CertificateForgery, Facts>> = {
  'self-signed': {
    title: 'shows a self-signed certificate with the right SPIFFE ID',
    references: ['CWE-295', 'ASVS 12.3.4'],
  },
  'foreign-authority': {
    title: 'shows a certificate of another authority with the right SPIFFE ID',
    references: ['CWE-295', 'ASVS 12.3.4'],
  },
  expired: { title: 'shows a real certificate that has expired', references: ['CWE-298', 'ASVS 12.1.4'] },
  'not-yet-valid': { title: 'shows a real certificate that is not valid yet', references: ['CWE-298'] },
  'leaf-as-authority': {
    title: "signs a certificate with a service's own key",
    references: ['CWE-295', 'CVE-2002-0862'],
  },
  'edge-certificate': {
    title: "shows the gateway's public certificate as a client certificate",
    references: ['CWE-295', 'RFC 5280 §4.2.1.12'],
  },
};

const noCertificate: Attack = {
  id: 'authentication/no-certificate',
  ring: 'authentication',
  vantage: 'network',
  title: 'comes to an mTLS port without a certificate',
  references: ['CWE-306', 'ASVS 12.3.5', 'T1021'],
  aim: field => atInbound(noCertificate, field, () => ({ kind: 'none' })),
};

const forgedCertificates = CERTIFICATE_FORGERIES.map(forgery => {
  const attack: Attack = {
    id: `authentication/certificate-${forgery}`,
    ring: 'authentication',
    vantage: 'network',
    ...CERTIFICATE_FACTS[forgery],
    aim: field => atInbound(attack, field, caller => ({ kind: 'forged', forgery, as: caller })),
  };
  return attack;
});

/**
 * At every inbound port, as its first declared caller would come but for the certificate; where only the gateway may
 * call, as some other service.
 */
function atInbound(attack: Attack, field: Field, certificate: (caller: string) => CertificateRecipe): Shot[] {
  return field.entries.flatMap(entry => {
    const caller = entry.kind === 'inbound' ? entry.caller : otherService(field, entry.service);
    if (caller === undefined) return [];
    return shot(attack, {
      place: entry.service,
      service: entry.service,
      target: `${entry.service}, as ${caller}`,
      probe: {
        kind: 'inbound',
        service: entry.service,
        certificate: certificate(caller),
        message: entry.kind === 'inbound' ? messageOfCall(entry.call) : messageOf(entry.method, entry.path),
      },
      control: legitimate(entry),
      expect: { kind: 'no-session' },
    });
  });
}

function otherService(field: Field, service: string): string | undefined {
  return [...field.model.services.keys()].find(name => name !== service);
}

const REVOCATIONS = [
  {
    moment: 'new-handshake',
    title: 'comes with a certificate that was just revoked',
    references: ['CWE-299', 'CWE-613'],
  },
  {
    moment: 'live-connection',
    title: 'keeps a connection open over the revocation of its certificate',
    references: ['CWE-299', 'CWE-613'],
  },
  {
    moment: 'resumption',
    title: 'resumes a TLS session after the revocation of its certificate',
    references: ['CWE-299', 'CWE-384'],
  },
] as const;

const revocations = REVOCATIONS.map(({ moment, title, references }) => {
  const attack: Attack = {
    id: `authentication/revoked-${moment}`,
    ring: 'authentication',
    vantage: 'service',
    title,
    references,
    aim: field =>
      field.entries.flatMap(entry => {
        if (entry.kind !== 'inbound') return [];
        return shot(attack, {
          place: entry.service,
          service: entry.service,
          target: `${entry.service}, as ${entry.caller}`,
          probe: {
            kind: 'revocation',
            caller: entry.caller,
            callee: entry.service,
            moment,
            message: messageOfCall(entry.call),
          },
          // The probe holds its own: the same certificate passes before the revocation.
          control: legitimate(entry),
          expect: moment === 'live-connection' ? { kind: 'cut' } : { kind: 'no-session' },
        });
      }),
  };
  return attack;
});

export const AUTHENTICATION_ATTACKS: readonly Attack[] = [
  noToken,
  tokenInQuery,
  spoofedIdentity,
  ...forgedTokens,
  noCertificate,
  ...forgedCertificates,
  ...revocations,
];
