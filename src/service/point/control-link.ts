import type { TLSSocket } from 'node:tls';
import type { Clock } from '#base/clock';
import type { Log } from '#base/log';
import { controlMessageSchema, LineChannel, type ControlMessage, type PointMessage } from '#service/link';
import { Backoff } from './backoff.ts';
import { PointError } from './point-error.ts';

export type ControlLinkOptions = {
  readonly connect: () => Promise<TLSSocket>;
  /** What a new stream says first. */
  readonly hello: () => PointMessage[];
  readonly up: () => void;
  readonly received: (message: ControlMessage) => void;
  /** Control asks for a sign of life several times in this span. */
  readonly silenceMs: number;
  readonly clock: Clock;
  readonly log: Log;
};

// Bundles are the long ones: about 700 bytes a call, so that 50,000 calls at one point fit.
const MAX_LINE_BYTES = 64 * 1024 * 1024;
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
const FIRST_WAIT_MS = 100;
const MAX_WAIT_MS = 5000;

/** The one stream to control, made again whenever it ends. */
export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #backoff = new Backoff(FIRST_WAIT_MS, MAX_WAIT_MS);
  #socket: TLSSocket | undefined;
  #channel: LineChannel | undefined;
  #waiting: { readonly timer: NodeJS.Timeout; readonly wake: () => void } | undefined;
  #closed = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: ControlLinkOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#channel !== undefined;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Does nothing while there is no stream: whoever needs an answer asks again with the next `hello`. */
  send(message: PointMessage): void {
    this.#channel?.send(message);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#socket?.destroy();
    if (this.#waiting !== undefined) {
      clearTimeout(this.#waiting.timer);
      this.#waiting.wake();
    }
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#hold(await this.#options.connect());
      } catch (error) {
        if (!this.#closed)
          this.#options.log.warn('no stream to control', { error: (error as Error).message });
      }
      if (!this.#closed) await this.#wait(this.#backoff.nextMs());
    }
  }

  /** Resolves or rejects when the stream ends. */
  async #hold(socket: TLSSocket): Promise<void> {
    const { clock, hello, log, received, silenceMs, up } = this.#options;
    if (this.#closed) return void socket.destroy();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let lastHeardMs = clock.monotonicMs();
    const channel = new LineChannel(socket, {
      maxLineBytes: MAX_LINE_BYTES,
      maxQueuedBytes: MAX_QUEUED_BYTES,
      onLine: line => {
        lastHeardMs = clock.monotonicMs();
        // Only now: a control that refuses our certificate ends the stream after the handshake (TLS 1.3).
        this.#backoff.reset();
        received(controlMessageSchema.parse(line));
      },
    });
    const watchdog = setInterval(() => {
      if (clock.monotonicMs() - lastHeardMs > silenceMs)
        socket.destroy(new PointError('silent', 'control does not answer any more'));
    }, silenceMs / 4);
    socket.on('error', reject);
    socket.on('close', () => resolve());
    this.#socket = socket;
    this.#channel = channel;
    log.info('stream to control is up');
    for (const message of hello()) channel.send(message);
    up();
    try {
      await promise;
    } finally {
      clearInterval(watchdog);
      this.#socket = undefined;
      this.#channel = undefined;
    }
  }

  async #wait(waitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = { timer: setTimeout(resolve, waitMs), wake: resolve };
    await promise;
    this.#waiting = undefined;
  }
}
