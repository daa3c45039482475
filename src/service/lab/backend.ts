import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Address } from '#domain/bundle';

/** What a backend is told of one request, and how it answers: with any bytes it likes. */
export type Conversation = {
  readonly socket: Socket;
  /** Request line and fields, without the last empty line. */
  readonly head: string;
  /** Fields by lower-case name; the last of a name wins. */
  readonly fields: Readonly<Record<string, string>>;
  readonly method: string;
  readonly target: string;
  /** The whole body, its chunks joined; trailers are left in `trailers`. */
  readonly body: Buffer;
  readonly trailers: string;
  readonly answer: (text: string | Buffer) => void;
};

export type Backend = {
  readonly address: Address;
  readonly seen: Conversation[];
  /** Connections that were made so far. */
  readonly connections: () => number;
  readonly open: () => readonly Socket[];
  readonly close: () => Promise<void>;
};

/** A plaintext HTTP/1.1 server without manners of its own: it reads requests and leaves the bytes of the answer to `respond`. */
export async function startBackend(respond: (conversation: Conversation) => void): Promise<Backend> {
  const seen: Conversation[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer(socket => {
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let pending = Buffer.alloc(0);
    socket.on('data', chunk => {
      pending = Buffer.concat([pending, chunk]);
      for (;;) {
        const parsed = readRequest(pending);
        if (parsed === undefined) return;
        pending = pending.subarray(parsed.length);
        const conversation: Conversation = { ...parsed.request, socket, answer: text => socket.write(text) };
        seen.push(conversation);
        respond(conversation);
      }
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    seen,
    connections: () => connections,
    open: () => [...sockets],
    close: () =>
      new Promise<void>(resolve => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

type Parsed = {
  readonly request: Omit<Conversation, 'socket' | 'answer'>;
  readonly length: number;
};

/** The first request in `bytes`, once it is whole. */
export function readRequest(bytes: Buffer): Parsed | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const head = bytes.toString('latin1', 0, end);
  const [line = '', ...rest] = head.split('\r\n');
  const fields = Object.fromEntries(
    rest.map(field => [
      field.slice(0, field.indexOf(':')).toLowerCase(),
      field.slice(field.indexOf(':') + 1).trim(),
    ]),
  );
  const [method = '', target = ''] = line.split(' ');
  const start = end + 4;
  if (fields['transfer-encoding'] === 'chunked')
    return readChunked({ head, fields, method, target }, bytes, start);
  const length = Number(fields['content-length'] ?? 0);
  if (bytes.length < start + length) return undefined;
  const body = Buffer.from(bytes.subarray(start, start + length));
  return { request: { head, fields, method, target, body, trailers: '' }, length: start + length };
}

function readChunked(
  request: Pick<Conversation, 'head' | 'fields' | 'method' | 'target'>,
  bytes: Buffer,
  start: number,
): Parsed | undefined {
  const chunks: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    at = lineEnd + 2;
    if (size === 0) {
      const finish = bytes.indexOf('\r\n\r\n', lineEnd);
      if (finish === -1) return undefined;
      const trailers = bytes.toString('latin1', at, Math.max(at, finish));
      return { request: { ...request, body: Buffer.concat(chunks), trailers }, length: finish + 4 };
    }
    if (bytes.length < at + size + 2) return undefined;
    chunks.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size + 2;
  }
}
