import { chmod, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { CodedError, quote } from '#base/error';
import type { Log } from '#base/log';
import { SchemaError } from '#base/schema';
import { ControlServiceError } from './control.ts';
import { ApiProblem, findRoute, type Route } from './api-routes.ts';

export class ApiServerError extends CodedError<'already-running' | 'socket-path-too-long'> {}

// sun_path of sockaddr_un has 108 bytes with its final NUL (unix(7)); 104 on BSD.
const MAX_SOCKET_PATH_BYTES = 103;
const MAX_BODY_BYTES = 16 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 30_000;

/** Control's API: HTTP/1.1 and JSON on a Unix socket of mode 0600. Who may open the socket may do everything. */
export class ApiServer {
  readonly #server: Server;
  readonly socketPath: string;

  private constructor(server: Server, socketPath: string) {
    this.#server = server;
    this.socketPath = socketPath;
  }

  /** @throws {ApiServerError} */
  static async start(options: {
    readonly socketPath: string;
    readonly routes: readonly Route[];
    readonly log: Log;
  }): Promise<ApiServer> {
    const { socketPath, routes, log } = options;
    if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
      throw new ApiServerError(
        'socket-path-too-long',
        `the path of the socket is longer than the system allows: ${quote(socketPath)}`,
      );
    }
    await removeLeftover(socketPath);
    const server = createServer((request, response) => void answer(routes, request, response, log));
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    server.maxConnections = 256;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    // The folder has mode 0700, so that nobody else comes between these two lines.
    server.listen(socketPath, resolve);
    await promise;
    await chmod(socketPath, 0o600);
    return new ApiServer(server, socketPath);
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }
}

/** CRASH: a control that was killed leaves its socket; one on which nobody answers is removed. */
async function removeLeftover(socketPath: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect(socketPath, () => resolve(true));
  probe.on('error', () => resolve(false));
  const alive = await promise;
  probe.destroy();
  if (alive)
    throw new ApiServerError('already-running', `another control plane answers on ${quote(socketPath)}`);
  await rm(socketPath, { force: true });
}

async function answer(
  routes: readonly Route[],
  request: IncomingMessage,
  response: ServerResponse,
  log: Log,
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://control');
    const found = findRoute(routes, request.method ?? 'GET', url.pathname);
    const body = found.route.method === 'POST' ? await readJson(request) : undefined;
    const result = await found.route.handle({
      body,
      id: found.id,
      query: Object.fromEntries(url.searchParams),
    });
    send(response, 200, 'application/json', result);
  } catch (error) {
    const { status, code, message, problems } = asProblem(error);
    if (status >= 500) log.error('a call of the API failed', { code, error: message });
    const document = {
      type: 'about:blank',
      title: message,
      status,
      code,
      ...(problems === undefined ? {} : { problems }),
    };
    send(response, status, 'application/problem+json', document);
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES)
      throw new ApiProblem('body-too-large', `the body is longer than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new ApiProblem('not-json', 'the body is not JSON');
  }
}

function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  if (error instanceof ControlServiceError) return new ApiProblem('unknown-service', error.message);
  if (error instanceof SchemaError) return new ApiProblem('bad-request', error.message);
  // A coded error is one of ours, worded for people; anything else may hold what is not theirs to see.
  if (error instanceof CodedError) return new ApiProblem('failed', error.message);
  return new ApiProblem('internal', 'control failed; its log says why', { cause: error });
}

function send(response: ServerResponse, status: number, type: string, document: unknown): void {
  if (response.headersSent) return void response.destroy();
  const text = JSON.stringify(document);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}
