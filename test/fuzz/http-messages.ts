import type { Random } from './random.ts';

/** Valid messages from which hostile ones are made. */
export const REQUESTS: readonly string[] = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /a/b?c=d HTTP/1.0\r\nHost: shop.test:80\r\nAccept: */*\r\n\r\n',
  'POST /cart HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello',
  'POST /cart HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c="d"\r\nabc\r\na\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n',
  'GET http://a/b HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-A\r\nX-A: b\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: [::1]:443\r\nUser-Agent: x y\r\nCookie: a=b; c=d\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\nX_Forwarded_For: b\r\n\r\n',
  'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n',
];

export const RESPONSES: readonly string[] = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n',
  'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n',
  'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end',
  'HTTP/1.1 100 Continue\r\n\r\n',
];

const PIECES: readonly string[] = [
  octets(),
  lines(),
  ['chunked', ' chunked', '0\r\n\r\n', '5\r\n', '0x5\r\n', 'ffffffffffffffff\r\n', ';ext', ';a="b"'],
  ['HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'GET /x HTTP/1.1\r\nHost: c\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n'],
  ['http://a', 'https://b/', '//', '/../', '*', '[::1]', ':80'],
].flat();

function octets(): string[] {
  return ['\r\n', '\r', '\n', '\r\n\r\n', '\n\n', ...' \t:;,"\\#?%/@\u0000\u000b\u0085\u00ff'.split('')];
}

function lines(): string[] {
  const framing = [
    'Content-Length: 5',
    'Content-Length: 0',
    'Content-Length : 5',
    'Content_Length: 5',
    'content-length: 5, 5',
  ];
  const coding = ['chunked', 'x', '\u000bchunked', 'chunked, chunked', '\r\n chunked'].map(
    value => `Transfer-Encoding: ${value}`,
  );
  const others = [
    'Host: b',
    'Host:',
    'Connection: close',
    'Connection: host',
    'Expect: 100-continue',
    'Upgrade: h2c',
    'Trailer: a',
  ];
  const ours = ['X-Ringwall-User: a', 'x_ringwall_user: a', ' folded'];
  return [...framing, ...coding, ...others, ...ours].map(line => `${line}\r\n`);
}

/** A message with a few hostile changes: bytes, pieces, cut-outs, repeated and mixed parts. */
export function mutate(random: Random, messages: readonly string[]): Buffer {
  let text = random.pick(messages);
  for (let changes = random.below(4) + 1; changes > 0; changes--) {
    const at = random.below(text.length + 1);
    const to = Math.min(text.length, at + random.below(12));
    switch (random.below(6)) {
      case 0:
        text = text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
        break;
      case 1:
        text = text.slice(0, at) + random.pick(PIECES) + text.slice(at);
        break;
      case 2:
        text = text.slice(0, at) + text.slice(to);
        break;
      case 3:
        text = text.slice(0, to) + text.slice(at);
        break;
      case 4:
        text = insertLine(random, text);
        break;
      default:
        text = text.slice(0, at) + random.pick(messages).slice(random.below(40));
    }
  }
  return Buffer.from(text, 'latin1');
}

/** Where a field line may stand, so that changes reach beyond the first check. */
function insertLine(random: Random, text: string): string {
  const at = text.indexOf('\r\n') + 2;
  return at < 2 ? text : text.slice(0, at) + random.pick(PIECES) + text.slice(at);
}

/** Up to five places at which `length` bytes come apart. */
export function cutsOf(random: Random, length: number): number[] {
  return Array.from({ length: random.below(6) }, () => random.below(length + 1)).toSorted((a, b) => a - b);
}
