import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import type { StandInCall } from './stand-in-config.ts';

/** How a call went: the status, or why there is none. */
export type CallResult = {
  readonly callee: string;
  readonly call: string;
  readonly status: number | 'connected' | 'failed' | 'skipped';
};

const MAX_IN_FLIGHT = 64;
const TIMEOUT_MS = 3000;
const MAX_SOCKETS_PER_CALLEE = 8;

/** Makes stand-ins' calls. Beyond 64 at a time calls are skipped: a flood of requests is not to become a storm. */
export class CallMaker {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS_PER_CALLEE, timeout: 30_000 });
  #inFlight = 0;

  async make(
    calls: readonly StandInCall[],
    headers: Readonly<Record<string, string>>,
  ): Promise<CallResult[]> {
    return Promise.all(calls.map(async call => this.#makeOne(call, headers)));
  }

  close(): void {
    this.#agent.destroy();
  }

  async #makeOne(call: StandInCall, headers: Readonly<Record<string, string>>): Promise<CallResult> {
    const { callee, request } = call;
    const words = request.kind === 'http' ? `${request.method} ${request.path}` : 'connect';
    if (this.#inFlight >= MAX_IN_FLIGHT) return { callee, call: words, status: 'skipped' };
    this.#inFlight += 1;
    try {
      const status = request.kind === 'http' ? await this.#send(call, request, headers) : await echo(call);
      return { callee, call: words, status };
    } catch {
      return { callee, call: words, status: 'failed' };
    } finally {
      this.#inFlight -= 1;
    }
  }

  #send(
    { callee, address }: StandInCall,
    { method, path }: { readonly method: string; readonly path: string },
    headers: Readonly<Record<string, string>>,
  ): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const outgoing = request(
      {
        agent: this.#agent,
        ...address,
        method,
        path,
        headers: { ...headers, host: callee },
        timeout: TIMEOUT_MS,
      },
      response => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.on('error', reject);
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('timeout')));
    outgoing.on('error', reject);
    outgoing.end();
    return promise;
  }
}

async function echo({ address }: StandInCall): Promise<'connected'> {
  const { promise, resolve, reject } = Promise.withResolvers<'connected'>();
  const socket = connect(address);
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('timeout')));
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('closed')));
  socket.on('data', () => resolve('connected'));
  socket.write('stand-in\n');
  return promise.finally(() => socket.destroy());
}
