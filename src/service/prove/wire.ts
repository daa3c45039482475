import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Address } from '#domain/bundle';
import { readAnswer, type Answer } from './read-answer.ts';

/** What happened on a connection. */
export type Talk = {
  /** How far it came: no connection, a connection, a TLS session. */
  readonly stage: 'none' | 'tcp' | 'tls';
  readonly received: Buffer;
  readonly answer: Answer | undefined;
  /** The other side has closed. */
  readonly ended: boolean;
  /** Code of the error that ended it; empty without one. */
  readonly error: string;
  readonly durationMs: number;
};

export type WireOptions = {
  readonly address: Address;
  /** Left out: plaintext. */
  readonly tls?: ConnectionOptions;
};

const CONNECT_TIMEOUT_MS = 3_000;
const ANSWER_TIMEOUT_MS = 8_000;
/** How long a connection on which nothing is said is watched: a refusal after the handshake comes within this. */
const SETTLE_MS = 400;
const MAX_RECEIVED_BYTES = 256 * 1024;

/** Errors of the local TLS library before anything is sent: they say nothing about the peer. */
const LOCAL_ERRORS: ReadonlySet<string> = new Set([
  'ERR_SSL_NO_CIPHERS_AVAILABLE',
  'ERR_SSL_NO_CIPHER_MATCH',
  'ERR_SSL_NO_PROTOCOLS_AVAILABLE',
  'ERR_TLS_INVALID_PROTOCOL_VERSION',
]);

export function isLocalError(code: string): boolean {
  return LOCAL_ERRORS.has(code);
}

/** A client's connection on which bytes are written as they are. */
export class Wire {
  readonly #socket: Socket | TLSSocket;
  readonly #secure: boolean;
  #stage: Talk['stage'] = 'none';
  #received = Buffer.alloc(0);
  #ended = false;
  #error = '';
  #wake: (() => void) | undefined;
  #session: Buffer | undefined;

  private constructor(socket: Socket | TLSSocket, secure: boolean) {
    this.#socket = socket;
    this.#secure = secure;
    const wake = () => this.#wake?.();
    socket.on('connect', () => {
      if (this.#stage === 'none') this.#stage = 'tcp';
      wake();
    });
    socket.on('secureConnect', () => {
      this.#stage = 'tls';
      wake();
    });
    socket.on('session', (session: Buffer) => (this.#session = session));
    socket.on('data', (chunk: Buffer) => {
      if (this.#received.byteLength < MAX_RECEIVED_BYTES)
        this.#received = Buffer.concat([this.#received, chunk]);
      wake();
    });
    const ended = () => {
      this.#ended = true;
      wake();
    };
    socket.on('end', ended);
    socket.on('close', ended);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error ||= error.code ?? error.name;
      ended();
    });
  }

  /** Resolves when the connection (and session) is up, has failed, or took too long. */
  static async open({ address, tls }: WireOptions): Promise<Wire> {
    if (tls === undefined) {
      const wire = new Wire(connectTcp({ ...address, noDelay: true }), false);
      await wire.#until(() => wire.#stage === 'tcp' || wire.#ended, CONNECT_TIMEOUT_MS);
      return wire;
    }
    const wire = new Wire(connectTls({ ...address, ...tls }), true);
    await wire.#until(() => wire.#stage === 'tls' || wire.#ended, CONNECT_TIMEOUT_MS);
    return wire;
  }

  get isUp(): boolean {
    return this.#stage === (this.#secure ? 'tls' : 'tcp') && !this.#ended;
  }

  /** The TLS session that the peer offered for resumption. */
  get session(): Buffer | undefined {
    return this.#session;
  }

  write(bytes: Buffer): void {
    if (!this.#ended) this.#socket.write(bytes);
  }

  /** Writes and reads until an answer is whole, the other side closes, or time is up. Without bytes: watches. */
  async exchange(
    bytes: Buffer | undefined,
    method = 'GET',
    timeoutMs = bytes === undefined ? SETTLE_MS : ANSWER_TIMEOUT_MS,
  ): Promise<Talk> {
    const startedMs = performance.now();
    this.#received = Buffer.alloc(0);
    if (bytes !== undefined && this.isUp) this.write(bytes);
    const isDone = () =>
      this.#ended || (bytes !== undefined && readAnswer(this.#received, method, false) !== undefined);
    if (this.isUp) await this.#until(isDone, timeoutMs);
    return this.#talk(method, startedMs);
  }

  /** Waits for the other side to close. @returns whether it did */
  async untilEnded(timeoutMs: number): Promise<boolean> {
    await this.#until(() => this.#ended, timeoutMs);
    return this.#ended;
  }

  /** What has come so far. */
  look(): Talk {
    return this.#talk('GET', performance.now());
  }

  close(): void {
    this.#socket.destroy();
  }

  #talk(method: string, startedMs: number): Talk {
    return {
      stage: this.#stage,
      received: this.#received,
      answer: readAnswer(this.#received, method, this.#ended),
      ended: this.#ended,
      error: this.#error,
      durationMs: performance.now() - startedMs,
    };
  }

  async #until(isDone: () => boolean, timeoutMs: number): Promise<void> {
    if (isDone()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#wake = () => {
      if (isDone()) resolve();
    };
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }
}

/** One connection, one message, one answer. */
export async function talkOnce(
  options: WireOptions,
  bytes: Buffer | undefined,
  method?: string,
): Promise<Talk> {
  let wire: Wire;
  try {
    wire = await Wire.open(options);
  } catch (error) {
    // The local TLS library refuses to offer what the recipe asks for.
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return {
      stage: 'none',
      received: Buffer.alloc(0),
      answer: undefined,
      ended: true,
      error: code,
      durationMs: 0,
    };
  }
  try {
    return await wire.exchange(bytes, method);
  } finally {
    wire.close();
  }
}
