import { createServer, Socket, type AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeClock } from '#base/clock';
import { compileEdgePolicy } from '#domain/policy';
import { edgeRoute, gatewayBundle, MemoryJournal } from '#service/lab';
import { Caller } from './caller.ts';
import { Engine } from './engine.ts';
import { ADMITTED, type Destination, type Hop } from './hop.ts';
import { Listener, type Arrival, type ListenerOptions } from './listener.ts';
import { DEFAULT_SETTINGS, type ProxySettings } from './settings.ts';

export const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Never connected: a test plays its other side, without the system between, and sees what was written. */
export class PlayedSocket extends Socket {
  text = '';
  /** Told of what is written, within the call that writes it. */
  written: (part: string) => void = () => {};

  override write(part: string | Uint8Array): boolean {
    const text = typeof part === 'string' ? part : Buffer.from(part).toString('latin1');
    this.text += text;
    this.written(text);
    return true;
  }

  /** Bytes come from the other side; several times within a turn as well as once. */
  play(text: string): this {
    this.emit('data', Buffer.from(text, 'latin1'));
    return this;
  }

  /** The other side says that it sends no more. */
  playEnd(): this {
    this.emit('end');
    return this;
  }

  /** The other side breaks off. */
  playReset(): this {
    this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' }));
    return this;
  }
}

const route = edgeRoute({ path: '/**', to: 'web', methods: ['GET', 'HEAD', 'POST', 'PUT'] });
const upstream = {
  service: 'web',
  identity: 'spiffe://x/ns/a/sa/web',
  address: { host: '127.0.0.1', port: 1 },
  protocol: 'http',
  record: 'relaxed',
} as const;
const policy = compileEdgePolicy(
  gatewayBundle({ trustAnchors: [], upstreams: [upstream], hosts: [{ host: 'x', routes: [route] }] }),
);

export type PlayOptions = {
  /** What the hop, which lets everything pass, does differently. */
  readonly hop?: Partial<Hop>;
  readonly destination?: Partial<Destination>;
  readonly settings?: Partial<ProxySettings>;
  /** Called for each connection to the upstream. */
  readonly dialled?: (socket: PlayedSocket) => void;
};

/** A point whose connections are played: their callers and their upstreams are the test. */
export function playPoint(t: TestContext, options: PlayOptions = {}) {
  const journal = new MemoryJournal();
  const clock = new FakeClock();
  const engine = new Engine({ recorder: journal, clock, settings: options.settings ?? {} });
  t.after(() => engine.close());
  const upstreams: PlayedSocket[] = [];
  const dial = () => {
    const socket = new PlayedSocket();
    upstreams.push(socket);
    options.dialled?.(socket);
    setImmediate(() => socket.emit('connect'));
    const explain = () => ({ reason: 'upstream-unreachable', detail: '' }) as const;
    return {
      socket,
      readyEvent: 'connect',
      peer: () => undefined,
      explain,
      retireAtMs: Infinity,
    } as const;
  };
  const series = { observe: () => {} };
  const destination: Destination = {
    kind: 'destination',
    pool: engine.pool('web', dial, []),
    callee: 'web',
    mode: 'relaxed',
    maxRequestBytes: 65_536,
    maxResponseBytes: 65_536,
    authority: undefined,
    series,
    ...options.destination,
  };
  const hop: Hop = {
    direction: 'edge',
    believesCaller: false,
    series,
    route: () => destination,
    identify: () => Caller.anonymous('a'),
    limit: () => ADMITTED,
    authorize: x => {
      const match = policy.route('x', x.method, x.path);
      return match.kind === 'route' ? policy.authorize(match, { kind: 'anonymous' }) : match;
    },
    believedFields: () => [],
    dressRequest: () => {},
    dressAnswer: () => {},
    ...options.hop,
  };
  const accept = (socket: Socket) => {
    return engine.converse(
      { socket, address: '192.0.2.1', peer: undefined, serverName: '', protocol: 'http/1.1' },
      { hop },
      [],
    );
  };
  const connect = () => {
    const socket = new PlayedSocket({ allowHalfOpen: true });
    accept(socket);
    return socket;
  };
  const advance = (byMs: number) => {
    clock.advance(byMs);
    engine.deadlines.sweep();
  };
  return { journal, upstreams, accept, connect, advance };
}

/** What has arrived by now is understood. */
export function endOfTurn(): Promise<void> {
  return new Promise(resolve => void setImmediate(resolve));
}

/** A TCP server for the time of a test, which breaks off what is left at its end. @returns its port */
export async function listen(t: TestContext, accept: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {});
    sockets.push(socket);
    accept(socket);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A listener on a port of its own, open for the time of a test; notes who comes and who is refused. */
export async function openListener(
  t: TestContext,
  {
    settings,
    ...changes
  }: Partial<Omit<ListenerOptions, 'settings'>> & { readonly settings?: Partial<ProxySettings> } = {},
) {
  const arrivals: Arrival[] = [];
  const refusals: string[] = [];
  const options: ListenerOptions = {
    address: { host: '127.0.0.1', port: 0 },
    purpose: 'inbound/web',
    security: { kind: 'plaintext' },
    settings: { ...DEFAULT_SETTINGS, ...settings },
    accept: arrival => {
      const { socket } = arrival;
      socket.on('error', () => {});
      socket.on('end', () => socket.destroy());
      socket.resume();
      arrivals.push(arrival);
      return undefined;
    },
    refused: (reason, detail, address) => void refusals.push([reason, detail, address].join(' | ')),
    ...changes,
  };
  const listener = new Listener(options);
  t.after(() => listener.close());
  await listener.listen();
  listener.open(options);
  return { listener, options, arrivals, refusals };
}

/** Waits for what happens soon. */
export async function until(isSo: () => boolean, timeoutMs = 3_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error('it did not happen');
    await sleep(5);
  }
}
