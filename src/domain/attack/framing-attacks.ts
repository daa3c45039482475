import type { Reason } from '#domain/decision';
import { shot } from './shot.ts';
import type { Attack, Message } from './attack.ts';
import { describeEntry, legitimate, onEntry, type Entry } from './field.ts';

/** What a framing attack is built around: a request that would be allowed. */
type Carrier = { readonly method: string; readonly path: string; readonly host: string };

type Framing = {
  readonly name: string;
  readonly title: string;
  readonly references: readonly string[];
  readonly reasons?: readonly Reason[];
  readonly build: (carrier: Carrier) => string;
};

const SMUGGLING = ['CWE-444', 'ASVS 4.2.1'];
/** The request that would be smuggled behind the first one. */
const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: hidden.test\r\n\r\n';

const FRAMINGS: readonly Framing[] = [
  {
    name: 'both-lengths',
    title: 'sends Content-Length and Transfer-Encoding (CL.TE)',
    references: [...SMUGGLING, 'CVE-2019-18277'],
    build: c =>
      `${post(c)}Content-Length: ${HIDDEN.length + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  },
  {
    name: 'both-lengths-reversed',
    title: 'sends Transfer-Encoding before Content-Length (TE.CL)',
    references: SMUGGLING,
    build: c =>
      `${post(c)}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${HIDDEN}\r\n0\r\n\r\n`,
  },
  {
    name: 'lengths-differ',
    title: 'sends two different Content-Length fields',
    references: SMUGGLING,
    build: c => `${post(c)}Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  },
  {
    name: 'length-twice',
    title: 'sends the same Content-Length twice',
    references: SMUGGLING,
    build: c => `${post(c)}Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi`,
  },
  {
    name: 'length-list',
    title: 'sends a list as Content-Length',
    references: SMUGGLING,
    build: c => `${post(c)}Content-Length: 2, 2\r\n\r\nhi`,
  },
  {
    name: 'length-signed',
    title: 'sends a Content-Length with a sign',
    references: [...SMUGGLING, 'CVE-2018-7159'],
    build: c => `${post(c)}Content-Length: +2\r\n\r\nhi`,
  },
  {
    name: 'length-hex',
    title: 'sends a hexadecimal Content-Length',
    references: SMUGGLING,
    build: c => `${post(c)}Content-Length: 0x2\r\n\r\nhi`,
  },
  {
    name: 'length-overflow',
    title: 'sends a Content-Length beyond 64 bits',
    references: ['CWE-190', ...SMUGGLING],
    reasons: ['malformed-request', 'ambiguous-framing', 'request-too-large'],
    build: c => `${post(c)}Content-Length: 18446744073709551618\r\n\r\nhi`,
  },
  {
    name: 'coding-twice',
    title: 'sends two Transfer-Encoding fields (TE.TE)',
    references: SMUGGLING,
    build: c =>
      `${post(c)}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${HIDDEN}`,
  },
  {
    name: 'coding-unknown',
    title: 'hides chunked behind an unknown coding',
    references: SMUGGLING,
    reasons: ['ambiguous-framing', 'malformed-request', 'unsupported-coding'],
    build: c => `${post(c)}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  },
  {
    name: 'coding-not-last',
    title: 'puts another coding after chunked',
    references: [...SMUGGLING, 'CVE-2022-32215'],
    reasons: ['ambiguous-framing', 'malformed-request', 'unsupported-coding'],
    build: c => `${post(c)}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  },
  {
    name: 'coding-tab',
    title: 'obscures chunked with a vertical tab',
    references: SMUGGLING,
    reasons: ['ambiguous-framing', 'malformed-request', 'unsupported-coding'],
    build: c => `${post(c)}Transfer-Encoding: \u000bchunked\r\n\r\n0\r\n\r\n`,
  },
  {
    name: 'coding-on-http10',
    title: 'sends Transfer-Encoding in an HTTP/1.0 request',
    references: [...SMUGGLING, 'RFC 9112 §6.1'],
    build: c => `${post(c, 'HTTP/1.0')}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  },
  {
    name: 'chunk-size-signed',
    title: 'sends a chunk size that is not plain hexadecimal',
    references: SMUGGLING,
    build: c => `${post(c)}Transfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n`,
  },
  {
    name: 'chunk-size-prefixed',
    title: 'sends a chunk size with 0x',
    references: SMUGGLING,
    build: c => `${post(c)}Transfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n`,
  },
  {
    name: 'chunk-size-overflow',
    title: 'sends a chunk size beyond 64 bits',
    references: ['CWE-190', ...SMUGGLING],
    reasons: ['malformed-request', 'ambiguous-framing', 'request-too-large'],
    build: c => `${post(c)}Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n`,
  },
  {
    name: 'chunk-bare-lf',
    title: 'ends chunk lines with LF alone',
    references: [...SMUGGLING, 'CVE-2025-22871'],
    build: c => `${post(c)}Transfer-Encoding: chunked\r\n\r\n2\nhi\n0\n\n`,
  },
  {
    name: 'chunk-extension-lf',
    title: 'puts a bare LF into a chunk extension',
    references: [...SMUGGLING, 'CVE-2025-22871'],
    build: c => `${post(c)}Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\nhi\r\n0\r\n\r\n`,
  },
  {
    name: 'chunk-too-long',
    title: 'sends more bytes than the chunk size says',
    references: SMUGGLING,
    build: c => `${post(c)}Transfer-Encoding: chunked\r\n\r\n2\r\nhijack\r\n0\r\n\r\n`,
  },
  {
    name: 'bare-lf',
    title: 'ends the lines of the head with LF alone',
    references: [...SMUGGLING, 'CVE-2023-38522'],
    build: c => `${c.method} ${c.path} HTTP/1.1\nHost: ${c.host}\n\n`,
  },
  {
    name: 'bare-cr',
    title: 'puts a bare CR into a field value',
    references: [...SMUGGLING, 'CWE-93'],
    build: c => `${start(c)}X-Probe: a\rHost: hidden.test\r\n\r\n`,
  },
  {
    name: 'nul',
    title: 'puts a NUL into a field value',
    references: ['CWE-158'],
    build: c => `${start(c)}X-Probe: a\u0000b\r\n\r\n`,
  },
  {
    name: 'folded-line',
    title: 'continues a field value on the next line (obs-fold)',
    references: [...SMUGGLING, 'RFC 9112 §5.2'],
    build: c => `${start(c)}X-Probe: a\r\n Transfer-Encoding: chunked\r\n\r\n`,
  },
  {
    name: 'space-before-colon',
    title: 'puts a space between field name and colon',
    references: [...SMUGGLING, 'CVE-2019-16869'],
    build: c => `${post(c)}Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n`,
  },
  {
    name: 'space-before-name',
    title: 'starts the first field line with a space',
    references: [...SMUGGLING, 'RFC 9112 §2.2'],
    build: c => `${c.method} ${c.path} HTTP/1.1\r\n Host: hidden.test\r\nHost: ${c.host}\r\n\r\n`,
  },
  {
    name: 'name-not-token',
    title: 'uses a field name that is no token',
    references: ['CWE-444', 'RFC 9110 §5.1'],
    build: c => `${start(c)}X-Pro(be): 1\r\n\r\n`,
  },
  {
    name: 'host-twice',
    title: 'sends two Host fields',
    references: ['CWE-444', 'RFC 9112 §3.2'],
    build: c => `${start(c)}Host: hidden.test\r\n\r\n`,
  },
  {
    name: 'host-missing',
    title: 'sends no Host field',
    references: ['RFC 9112 §3.2'],
    build: c => `${c.method} ${c.path} HTTP/1.1\r\n\r\n`,
  },
  {
    name: 'host-malformed',
    title: 'sends a Host with user information',
    references: ['CWE-20'],
    build: c => `${c.method} ${c.path} HTTP/1.1\r\nHost: x@${c.host}\r\n\r\n`,
  },
  {
    name: 'absolute-form-conflict',
    title: 'names another host in the request target than in Host',
    references: ['CWE-444', 'RFC 9112 §3.2.2'],
    build: c => `${c.method} https://hidden.test${c.path} HTTP/1.1\r\nHost: ${c.host}\r\n\r\n`,
  },
  {
    name: 'content-type-twice',
    title: 'sends two Content-Type fields',
    references: ['CWE-436', 'CVE-2023-38199'],
    build: c =>
      `${post(c)}Content-Type: text/plain\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  },
  {
    name: 'http09',
    title: 'sends an HTTP/0.9 request line',
    references: ['CWE-444', 'ASVS 4.2.1'],
    reasons: ['malformed-request', 'ambiguous-framing', 'unsupported-version'],
    build: c => `GET ${c.path}\r\nHost: ${c.host}\r\n\r\n`,
  },
  {
    name: 'unknown-version',
    title: 'claims HTTP/1.9',
    references: ['RFC 9110 §2.5'],
    reasons: ['malformed-request', 'unsupported-version'],
    build: c => `${c.method} ${c.path} HTTP/1.9\r\nHost: ${c.host}\r\n\r\n`,
  },
  {
    name: 'method-not-token',
    title: 'uses a method that is no token',
    references: ['CWE-20'],
    build: c => `${c.method}\u0001 ${c.path} HTTP/1.1\r\nHost: ${c.host}\r\n\r\n`,
  },
  {
    name: 'target-control',
    title: 'puts a control character into the request target',
    references: ['CWE-93'],
    reasons: ['malformed-request', 'ambiguous-path'],
    build: c => `${c.method} ${c.path}\u0001 HTTP/1.1\r\nHost: ${c.host}\r\n\r\n`,
  },
  {
    name: 'target-two-spaces',
    title: 'puts a second request target behind a space',
    references: ['CWE-444'],
    build: c => `${c.method} ${c.path} /hidden HTTP/1.1\r\nHost: ${c.host}\r\n\r\n`,
  },
  {
    name: 'expectation-unknown',
    title: 'expects what nobody offers',
    references: ['RFC 9110 §10.1.1'],
    reasons: ['unsupported-expectation', 'malformed-request'],
    build: c => `${post(c)}Expect: y 100-continue\r\nContent-Length: 2\r\n\r\nhi`,
  },
  {
    name: 'headers-many',
    title: 'sends more header fields than anybody needs',
    references: ['CWE-770', 'API4:2023'],
    reasons: ['headers-too-large', 'malformed-request'],
    build: c => `${start(c)}${Array.from({ length: 300 }, (_, index) => `X-${index}: 1\r\n`).join('')}\r\n`,
  },
  {
    name: 'header-long',
    title: 'sends one header field of 64 KiB',
    references: ['CWE-770', 'API4:2023'],
    reasons: ['headers-too-large', 'malformed-request'],
    build: c => `${start(c)}X-Long: ${'a'.repeat(65_536)}\r\n\r\n`,
  },
  {
    name: 'target-long',
    title: 'sends a request target of 64 KiB',
    references: ['CWE-770'],
    reasons: ['target-too-long', 'headers-too-large', 'malformed-request'],
    build: c => `${c.method} ${c.path}?${'a'.repeat(65_536)} HTTP/1.1\r\nHost: ${c.host}\r\n\r\n`,
  },
];

export const FRAMING_ATTACKS: readonly Attack[] = FRAMINGS.map(framing => {
  const attack: Attack = {
    id: `vetting/${framing.name}`,
    ring: 'vetting',
    vantage: 'outside',
    title: framing.title,
    references: framing.references,
    aim: field =>
      [...field.doors, ...field.entries.filter(({ kind }) => kind === 'inbound')].flatMap(entry => {
        const message = build(framing, entry);
        if (message === undefined) return [];
        return shot(attack, {
          place: `${entry.kind}/${entry.service}`,
          service: entry.service,
          target: describeEntry(entry),
          probe: onEntry(entry, message),
          control: legitimate(entry),
          expect: {
            kind: 'refused',
            reasons: framing.reasons ?? ['malformed-request', 'ambiguous-framing'],
            orClosed: true,
          },
        });
      }),
  };
  return attack;
});

function build(framing: Framing, entry: Entry): Message | undefined {
  if (entry.kind === 'edge') {
    const { method, path, host } = entry;
    return { kind: 'raw', text: framing.build({ method, path, host }) };
  }
  const message = legitimate(entry);
  if (message.kind !== 'inbound' || message.message.kind !== 'request') return undefined;
  const { method, path } = message.message;
  return { kind: 'raw', text: framing.build({ method, path, host: entry.service }) };
}

function start({ method, path, host }: Carrier): string {
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n`;
}

/** The start of a request that carries a body; with the method that is allowed, so that no other ring answers first. */
function post({ method, path, host }: Carrier, version = 'HTTP/1.1'): string {
  return `${method} ${path} ${version}\r\nHost: ${host}\r\n`;
}
