import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { LOAD_CPU, pinned } from './peers.ts';

const run = promisify(execFile);

export type Throughput = {
  readonly perSecond: number;
  /** Answers other than 2xx. */
  readonly failed: number;
  /** Requests per second of CPU time that the proxy used: what is left when load and backend share a CPU. */
  readonly perCpuSecond: number;
};

/** Closed-loop load by wrk over TLS. */
export async function measureThroughput(options: {
  readonly port: number;
  readonly pid: number;
  readonly token: string;
  readonly connections: number;
  readonly seconds: number;
}): Promise<Throughput> {
  const { port, pid, token, connections, seconds } = options;
  const [program = '', ...args] = pinned(LOAD_CPU, [
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '-H',
    'Host: shop.test',
    '-H',
    `Authorization: Bearer ${token}`,
    `https://127.0.0.1:${port}/items/42`,
  ]);
  const beforeS = await cpuSeconds(pid);
  const { stdout } = await run(program, args, { timeout: (seconds + 20) * 1000 });
  const usedS = (await cpuSeconds(pid)) - beforeS;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? 0);
  const failed = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  return { perSecond, failed, perCpuSecond: usedS > 0 ? requests / usedS : 0 };
}

export type Latency = {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly failed: number;
};

/**
 * Open-loop load: requests leave at their times, whether or not earlier ones were answered, and each is measured from
 * the time at which it was to leave. So a stall is seen by every request that it delays.
 */
export async function measureLatency(options: {
  readonly port: number;
  readonly token: string;
  readonly perSecond: number;
  readonly connections: number;
  readonly seconds: number;
}): Promise<Latency> {
  const { port, token, perSecond, connections, seconds } = options;
  const lines = await Promise.all(
    Array.from({ length: connections }, () => PacedConnection.open(port, token)),
  );
  const intervalMs = 1000 / perSecond;
  const total = Math.round(perSecond * seconds);
  const startMs = performance.now() + 50;
  let sent = 0;
  await new Promise<void>(resolve => {
    const pump = () => {
      const nowMs = performance.now();
      while (sent < total && startMs + sent * intervalMs <= nowMs) {
        lines[sent % connections]?.send(startMs + sent * intervalMs);
        sent++;
      }
      if (sent >= total) resolve();
      else setImmediate(pump);
    };
    pump();
  });
  const deadlineMs = performance.now() + 5_000;
  while (lines.some(line => line.waiting > 0) && performance.now() < deadlineMs)
    await new Promise(resolve => setTimeout(resolve, 10));
  // The first second warms caches up on all alike.
  const latencies = lines
    .flatMap(line => line.latenciesMs.slice(Math.ceil(perSecond / connections)))
    .sort((a, b) => a - b);
  const failed = lines.reduce((sum, line) => sum + line.failed + line.waiting, 0);
  for (const line of lines) line.close();
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), failed };
}

class PacedConnection {
  readonly latenciesMs: number[] = [];
  failed = 0;
  readonly #socket: TLSSocket;
  readonly #request: string;
  readonly #due: number[] = [];
  #text = '';

  private constructor(socket: TLSSocket, token: string) {
    this.#socket = socket;
    this.#request = `GET /items/42 HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer ${token}\r\n\r\n`;
    socket.on('data', (chunk: Buffer) => this.#read(chunk.toString('latin1')));
    socket.on('error', () => {});
  }

  static async open(port: number, token: string): Promise<PacedConnection> {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, servername: 'shop.test' });
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return new PacedConnection(socket, token);
  }

  get waiting(): number {
    return this.#due.length;
  }

  send(dueMs: number): void {
    this.#due.push(dueMs);
    // One request at a time on a connection: what is due meanwhile waits, and its waiting counts.
    if (this.#due.length === 1) this.#socket.write(this.#request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#text += text;
    for (;;) {
      const end = this.#text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = this.#text.slice(0, end);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (this.#text.length < end + 4 + length) return;
      this.#text = this.#text.slice(end + 4 + length);
      const dueMs = this.#due.shift();
      if (dueMs !== undefined) this.latenciesMs.push(performance.now() - dueMs);
      if (!head.startsWith('HTTP/1.1 200')) this.failed++;
      if (this.#due.length > 0) this.#socket.write(this.#request);
    }
  }
}

async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // proc(5): utime and stime, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Resident memory, in MB. */
export async function residentMegabytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'latin1');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024);
}
