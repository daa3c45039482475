/**
 * The little that every service of the shop shares: an HTTP server with routes, JSON in and out, and an orderly end.
 *
 * Who calls, and for whom, is not decided here: Ringwall decides it before a request arrives, and says so in headers that
 * nobody else can set. A service reads `x-ringwall-user` and believes it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Refusal } from './refusal.ts';

export type Answer = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
};

export type Request = {
  readonly method: string;
  /** Decoded path segments at the places of `:name`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** The signed-in user. @throws {Refusal} 401 when there is none */
  readonly user: () => string;
  /** The JSON object in the body. @throws {Refusal} 400, 413 or 415 */
  readonly json: () => Promise<Readonly<Record<string, unknown>>>;
};

type Handler = (request: Request) => Answer | Promise<Answer>;

/** `GET /products/:id` to its handler. */
type Routes = Readonly<Record<string, Handler>>;

export type Service = { readonly name: string; readonly routes: Routes; readonly close?: () => void };

const MAX_BODY_BYTES = 64 * 1024;
const DRAIN_MS = 3000;

/** Listens at HOST and PORT until SIGTERM or SIGINT. */
export function runService(service: Service): void {
  const port = Number(process.env['PORT']);
  if (!Number.isInteger(port) || port < 0 || port > 65_535 || process.env['PORT'] === '') {
    console.error(`${service.name}: PORT must say where to listen`);
    process.exit(64);
  }
  const server = createService(service);
  server.on('error', error => {
    console.error(`${service.name}: ${error.message}`);
    process.exit(1);
  });
  server.listen(port, process.env['HOST'] ?? '127.0.0.1', () => {
    const address = server.address();
    console.log(`${service.name} listens on port ${typeof address === 'object' ? address?.port : port}`);
  });
  const stop = () => {
    server.close(() => {
      service.close?.();
      process.exit(0);
    });
    server.closeIdleConnections();
    // Whoever still holds a connection then has had time enough.
    setTimeout(() => server.closeAllConnections(), DRAIN_MS).unref();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

function createService({ name, routes }: Service): Server {
  const table = Object.entries(routes).map(([pattern, handler]) => {
    const [method = '', path = ''] = pattern.split(' ');
    return { method, segments: path.split('/'), handler };
  });
  const find = (
    method: string,
    path: string,
  ): { handler: Handler; params: Record<string, string> } | Answer => {
    const segments = path.split('/');
    let allowed: string[] = [];
    for (const route of table) {
      const params = match(route.segments, segments);
      if (params === undefined) continue;
      if (route.method === method) return { handler: route.handler, params };
      allowed = [...allowed, route.method];
    }
    if (allowed.length === 0) return problem(404, 'not-found', 'nothing here');
    return {
      ...problem(405, 'method-not-allowed', 'not so'),
      headers: { ...PROBLEM, allow: allowed.join(', ') },
    };
  };
  const answerTo = async (incoming: IncomingMessage): Promise<Answer> => {
    const url = new URL(incoming.url ?? '/', 'http://service');
    const method = incoming.method ?? 'GET';
    if (url.pathname === '/healthz') return json(200, { service: name, status: 'ok' });
    const found = find(method === 'HEAD' ? 'GET' : method, url.pathname);
    if (!('handler' in found)) return found;
    return await found.handler({
      method,
      params: found.params,
      query: url.searchParams,
      headers: incoming.headers,
      user: () => userOf(incoming),
      json: () => readJson(incoming),
    });
  };
  return createServer((incoming, outgoing) => {
    void answerTo(incoming)
      .catch((error: unknown) => {
        if (error instanceof Refusal) return problem(error.status, error.code, error.message);
        console.error(
          `${name}: ${error instanceof Error ? (error.stack ?? error.message) : 'unknown error'}`,
        );
        return problem(500, 'internal', 'something went wrong here');
      })
      .then(answer => send(outgoing, answer, incoming.method === 'HEAD'));
  });
}

export function json(status: number, value: unknown): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: JSON.stringify(value),
  };
}

const PROBLEM = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };

/** RFC 9457 */
function problem(status: number, code: string, detail: string): Answer {
  return {
    status,
    headers: PROBLEM,
    body: JSON.stringify({ type: `urn:boutique:${code}`, status, title: code, detail }),
  };
}

function send(outgoing: ServerResponse, { status, headers, body }: Answer, headOnly: boolean): void {
  outgoing.writeHead(status, {
    ...headers,
    'content-length': body === undefined ? 0 : Buffer.byteLength(body),
  });
  if (headOnly || body === undefined) outgoing.end();
  else outgoing.end(body);
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (part.startsWith(':') && segment !== '') params[part.slice(1)] = decode(segment);
    else if (part !== segment) return undefined;
  }
  return params;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Refusal(400, 'bad-path', 'the path is not well encoded');
  }
}

function userOf({ headers }: IncomingMessage): string {
  const user = headers['x-ringwall-user'];
  if (typeof user !== 'string' || user === '') throw new Refusal(401, 'no-user', 'sign in first');
  return user;
}

async function readJson(incoming: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  if (!/^application\/json\s*(?:;|$)/i.test(incoming.headers['content-type'] ?? '')) {
    throw new Refusal(415, 'not-json', 'send JSON');
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES) throw new Refusal(413, 'too-large', 'that is more than 64 KiB');
    chunks.push(chunk as Buffer);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Refusal(400, 'bad-json', 'the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal(400, 'bad-json', 'the body must be a JSON object');
  }
  return value as Record<string, unknown>;
}
