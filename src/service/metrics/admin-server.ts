import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Address } from '#domain/bundle';
import type { PointMetrics } from './point-metrics.ts';

type Health = { readonly healthy: boolean; readonly bundle: number; readonly detail: string };

/** `GET /metrics` and `GET /healthz`, for the machine's own eyes. */
export class AdminServer {
  readonly #metrics: PointMetrics;
  readonly #health: () => Health;
  #server: Server | undefined;
  #address: Address | undefined;

  constructor(metrics: PointMetrics, health: () => Health) {
    this.#metrics = metrics;
    this.#health = health;
  }

  /** The port in use; 0 while it does not listen. */
  get port(): number {
    const bound = this.#server?.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  /**
   * Listens on `address`, and on no other any more.
   * @throws the system's error; the former address is then kept
   */
  async listen(address: Address): Promise<void> {
    if (this.#address?.host === address.host && this.#address.port === address.port) return;
    const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
      void this.#answer(request.method ?? '', request.url ?? '', response);
    });
    server.maxConnections = 64;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    server.listen({ host: address.host, port: address.port }, resolve);
    await promise;
    this.close();
    this.#server = server;
    this.#address = address;
  }

  close(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
    this.#server = undefined;
    this.#address = undefined;
  }

  async #answer(method: string, url: string, response: ServerResponse): Promise<void> {
    try {
      if (method !== 'GET') send(response, 405, 'text/plain', 'method not allowed\n');
      else if (url === '/metrics')
        send(response, 200, this.#metrics.registry.contentType, await this.#metrics.scrape());
      else if (url === '/healthz') this.#answerHealth(response);
      else send(response, 404, 'text/plain', 'not found\n');
    } catch {
      send(response, 500, 'text/plain', 'internal error\n');
    }
  }

  #answerHealth(response: ServerResponse): void {
    const health = this.#health();
    send(response, health.healthy ? 200 : 503, 'application/json', `${JSON.stringify(health)}\n`);
  }
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' });
  response.end(body);
}
