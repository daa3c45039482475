import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { answer } from './answer.ts';
import { CallMaker } from './call-maker.ts';
import type { StandInConfig, StandInService } from './stand-in-config.ts';

type Part = { config: StandInService; readonly server: HttpServer | TcpServer };

/** The stand-ins of one process. */
export class Troupe {
  readonly #parts = new Map<string, Part>();
  readonly #calls = new CallMaker();
  readonly #complain: (message: string) => void;

  constructor(complain: (message: string) => void) {
    this.#complain = complain;
  }

  /** Plays these services and no others; one whose address stays goes on without a pause. */
  async play({ services }: StandInConfig): Promise<void> {
    const wanted = new Map(services.map(service => [keyOf(service), service]));
    for (const [key, { server }] of this.#parts) {
      if (wanted.has(key)) continue;
      this.#parts.delete(key);
      closeNow(server);
    }
    await Promise.all([...wanted].map(async ([key, service]) => this.#cast(key, service)));
  }

  close(): void {
    for (const { server } of this.#parts.values()) closeNow(server);
    this.#parts.clear();
    this.#calls.close();
  }

  async #cast(key: string, service: StandInService): Promise<void> {
    const playing = this.#parts.get(key);
    if (playing !== undefined) {
      playing.config = service;
      return;
    }
    const part: Part = { config: service, server: this.#serve(service.protocol, () => part.config) };
    this.#parts.set(key, part);
    part.server.listen(service.listen.port, service.listen.host);
    try {
      await once(part.server, 'listening');
    } catch (error) {
      this.#parts.delete(key);
      this.#complain(`${service.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #serve(protocol: 'http' | 'tcp', config: () => StandInService): HttpServer | TcpServer {
    if (protocol === 'tcp') return createTcpServer(echo);
    return createHttpServer({ keepAliveTimeout: IDLE_MS }, (request, response) => {
      void answer(config(), request, response, this.#calls);
    });
  }
}

function echo(socket: Socket): void {
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  socket.on('error', () => {});
  socket.pipe(socket);
}

const IDLE_MS = 60_000;

function keyOf({ name, protocol, listen }: StandInService): string {
  return `${name} ${protocol} ${listen.host}:${listen.port}`;
}

function closeNow(server: HttpServer | TcpServer): void {
  server.close();
  if ('closeAllConnections' in server) server.closeAllConnections();
}
