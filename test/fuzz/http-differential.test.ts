/**
 * What our codec takes for one message must be the same message for another implementation: Node's own, on llhttp.
 * A difference here is what request smuggling is made of.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, METHODS, request } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import {
  decodeRequestHead,
  decodeResponseHead,
  DEFAULT_LIMITS,
  dropUntrusted,
  encodeRequestHead,
} from '#domain/http';
import { mutate, REQUESTS, RESPONSES } from './http-messages.ts';
import { readRequest, readResponse } from './http-properties.ts';
import { Random } from './random.ts';

type Seen =
  | { readonly kind: 'request'; readonly start: string; readonly content: string }
  | { readonly kind: 'refused'; readonly code: string };

/** Node as server: what it makes of the bytes of one connection. */
let seen: Seen[] = [];
const server = createServer((incoming, answer) => {
  let content = '';
  incoming.setEncoding('latin1').on('data', (chunk: string) => (content += chunk));
  incoming.on('end', () => {
    const path = (incoming.url ?? '').replace(/^https?:\/\/[^/?]*/i, '');
    const target = path.startsWith('/')
      ? path
      : path === '' && incoming.method === 'OPTIONS'
        ? '*'
        : path === '*'
          ? '*'
          : `/${path}`;
    seen.push({ kind: 'request', start: `${incoming.method} ${target}`, content });
    answer.end();
  });
});
server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
  seen.push({ kind: 'refused', code: error.code ?? '' });
  socket.destroy();
});

async function showToNode(raw: Buffer): Promise<Seen[]> {
  seen = [];
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket
    .on('error', () => {})
    .resume()
    .end(raw);
  await once(socket, 'close');
  return seen;
}

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

after(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

/** Different messages that we read as whole, most of them with something odd in them. */
function acceptedMessages(
  messages: readonly string[],
  read: (raw: Buffer) => { outcome: string; bytes: number },
  wanted: number,
): Buffer[] {
  const found = new Map<string, Buffer>();
  for (const message of messages) found.set(message, Buffer.from(message, 'latin1'));
  for (let nth = 0; found.size < wanted; nth++) {
    const raw = mutate(new Random(nth), messages);
    const { outcome, bytes } = read(raw);
    if (outcome === 'read') found.set(raw.toString('latin1', 0, bytes), raw.subarray(0, bytes));
  }
  return [...found.values()];
}

test('what we accept as a request, llhttp reads as the same request', async () => {
  let compared = 0;
  for (const message of acceptedMessages(REQUESTS, readRequest, 400)) {
    const decoded = decodeRequestHead(message, 0, message.length, DEFAULT_LIMITS);
    assert.ok(decoded.kind === 'head');
    const { head } = decoded;
    if (!METHODS.includes(head.method)) continue;
    const { meaning, bytes } = readRequest(message);
    assert.ok(meaning !== undefined);

    const expected: Seen[] = [
      { kind: 'request', start: `${head.method} ${head.target}`, content: meaning.content },
    ];
    const shown = JSON.stringify(message.toString('latin1', 0, bytes));
    assert.deepEqual(await showToNode(message.subarray(0, bytes)), expected, shown);
    dropUntrusted(head.headers);
    const forwarded = Buffer.from(
      encodeRequestHead(head) + message.toString('latin1', decoded.consumed, bytes),
      'latin1',
    );
    assert.deepEqual(await showToNode(forwarded), expected, `forwarded: ${shown}`);
    compared++;
  }
  assert.ok(compared > 250, `${compared} compared`);
});

test('what we accept as a response, llhttp reads as the same response', async () => {
  let raw: Buffer = Buffer.alloc(0);
  const origin = createTcpServer(socket => {
    socket.on('error', () => {}).once('data', () => socket.end(raw));
  });
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const { port } = origin.address() as AddressInfo;
  try {
    for (const message of acceptedMessages(RESPONSES, readResponse, 150)) {
      const decoded = decodeResponseHead(message, 0, message.length, DEFAULT_LIMITS, 'GET');
      assert.ok(decoded.kind === 'head');
      if (decoded.head.status < 200) continue; // only the final answer is shown by Node
      const { meaning, bytes } = readResponse(message);
      raw = message.subarray(0, bytes);
      const shown = await receive(port);
      assert.deepEqual(
        shown,
        { status: decoded.head.status, content: meaning?.content },
        JSON.stringify(raw.toString('latin1')),
      );
    }
  } finally {
    origin.close();
  }
});

async function receive(
  port: number,
): Promise<{ status: number | undefined; content: string } | { failed: string }> {
  const { promise, resolve } = Promise.withResolvers<
    { status: number | undefined; content: string } | { failed: string }
  >();
  const outgoing = request({ port, host: '127.0.0.1', agent: false }, incoming => {
    let content = '';
    incoming.setEncoding('latin1').on('data', (chunk: string) => (content += chunk));
    incoming.on('error', error => resolve({ failed: error.message }));
    incoming.on('end', () => resolve({ status: incoming.statusCode, content }));
  });
  outgoing.on('error', error => resolve({ failed: error.message })).end();
  return promise;
}

test('positive control: this comparison sees the differences on which smuggling rests', async () => {
  // llhttp reads a body behind an HTTP/0.9 request line, takes two Hosts and a Host that the target contradicts.
  for (const raw of [
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 1\r\n\r\nx',
  ]) {
    const buffer = Buffer.from(raw);
    assert.equal(decodeRequestHead(buffer, 0, buffer.length, DEFAULT_LIMITS).kind, 'refused');
    assert.equal((await showToNode(buffer))[0]?.kind, 'request', raw);
  }
  const refused = Buffer.from(
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  );
  assert.equal((await showToNode(refused))[0]?.kind, 'refused');
});
