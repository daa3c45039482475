import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

export type Answer = {
  readonly status: number;
  readonly head: string;
  /** By lower-case name; several of a name joined by `, `. */
  readonly fields: Readonly<Record<string, string>>;
  /** Chunks joined. */
  readonly body: string;
  readonly trailers: string;
};

/** A connection on which a test writes the bytes it means, and reads answers one by one. */
export class RawClient {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    const end = () => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end);
  }

  static async tcp(port: number): Promise<RawClient> {
    const socket = connectTcp({ host: '127.0.0.1', port, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RawClient(socket);
  }

  /** @throws what the handshake failed with */
  static async tls(port: number, options: ConnectionOptions): Promise<RawClient> {
    const socket = connectTls({ host: '127.0.0.1', port, ...options });
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return new RawClient(socket);
  }

  get received(): Buffer {
    return this.#received;
  }

  /** Whether the other side has closed. */
  get ended(): boolean {
    return this.#ended;
  }

  send(text: string | Buffer): this {
    this.socket.write(text);
    return this;
  }

  /** Reads one answer. @param method `HEAD` answers have no body */
  async answer(method = 'GET'): Promise<Answer> {
    for (;;) {
      const read = readAnswer(this.#received, method, this.#ended);
      if (read !== undefined) {
        this.#received = this.#received.subarray(read.length);
        return read.answer;
      }
      if (this.#ended)
        throw new Error(
          `connection ended after ${JSON.stringify(this.#received.toString('latin1').slice(0, 300))}`,
        );
      await this.#more();
    }
  }

  async get(path: string, fields = '', host = 'shop.test'): Promise<Answer> {
    this.send(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${fields}\r\n`);
    return this.answer();
  }

  /** Waits until the other side has closed, then gives what came. */
  async rest(): Promise<string> {
    while (!this.#ended) await this.#more();
    return this.#received.toString('latin1');
  }

  async until(text: string): Promise<void> {
    while (!this.#received.includes(text)) {
      if (this.#ended) throw new Error('connection ended');
      await this.#more();
    }
  }

  close(): void {
    this.socket.destroy();
  }

  #more(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`nothing came; so far ${this.#received.toString('latin1').slice(0, 300)}`)),
        5_000,
      );
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The first answer in `bytes`, once it is whole. @param ended whether the connection has: some answers end with it */
export function readAnswer(
  bytes: Buffer,
  method: string,
  ended: boolean,
): { readonly answer: Answer; readonly length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const head = bytes.toString('latin1', 0, end);
  const [line = '', ...rest] = head.split('\r\n');
  const status = Number(line.split(' ')[1]);
  const fields: Record<string, string> = {};
  for (const field of rest) {
    const name = field.slice(0, field.indexOf(':')).toLowerCase();
    const value = field.slice(field.indexOf(':') + 1).trim();
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
  }
  const start = end + 4;
  const done = (body: string, length: number, trailers = '') => ({
    answer: { status, head, fields, body, trailers },
    length,
  });
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return done('', start);
  if (fields['transfer-encoding'] === 'chunked') {
    let at = start;
    let body = '';
    for (;;) {
      const lineEnd = bytes.indexOf('\r\n', at);
      if (lineEnd === -1) return undefined;
      const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
      at = lineEnd + 2;
      if (size === 0) {
        const finish = bytes.indexOf('\r\n\r\n', lineEnd);
        if (finish === -1) return undefined;
        return done(body, finish + 4, bytes.toString('latin1', at, Math.max(at, finish)));
      }
      if (bytes.length < at + size + 2) return undefined;
      body += bytes.toString('latin1', at, at + size);
      at += size + 2;
    }
  }
  if (fields['content-length'] !== undefined) {
    const length = Number(fields['content-length']);
    return bytes.length < start + length
      ? undefined
      : done(bytes.toString('latin1', start, start + length), start + length);
  }
  return ended ? done(bytes.toString('latin1', start), bytes.length) : undefined;
}
