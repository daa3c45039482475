import assert from 'node:assert/strict';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ReadyFile } from '#app/up';

/** `ringwall up` as a process, from the outside. */

export const PROGRAM = fileURLToPath(new URL('../../bin/ringwall', import.meta.url));
const UP_WITHIN_MS = 40_000;
const running = new Set<Run>();

/** For the end of a test file: ends what its tests have left. */
export async function endAll(): Promise<void> {
  for (const { child } of running) child.kill('SIGTERM');
  if (running.size > 0) await sleep(1000);
  // A second signal ends it at once.
  for (const { child } of running) child.kill('SIGTERM');
  await Promise.all([...running].map(async ({ exitCode }) => exitCode));
}

export type Run = {
  readonly child: ChildProcessWithoutNullStreams;
  readonly output: () => string;
  readonly errors: () => string;
  readonly exitCode: Promise<number | null>;
};

export async function start(
  directory: string,
  options: readonly string[],
  env: Record<string, string> = {},
): Promise<Run> {
  const child = spawn(process.execPath, [PROGRAM, 'up', ...options], {
    cwd: directory,
    env: { ...process.env, ...env },
  });
  const output = collect(child.stdout);
  const errors = collect(child.stderr);
  const exitCode = once(child, 'close').then(([code]) => code as number | null);
  const run = { child, output, errors, exitCode };
  running.add(run);
  void exitCode.then(() => running.delete(run));
  await once(child, 'spawn');
  return run;
}

export async function stop(run: Run): Promise<void> {
  run.child.kill('SIGINT');
  await run.exitCode;
}

export async function whenReady(run: Run, directory: string): Promise<ReadyFile> {
  let ended = false;
  void run.exitCode.then(() => (ended = true));
  await until(
    async () => ended || (run.output().includes(' is up: ') && (await readReady(directory)) !== undefined),
  );
  assert.equal(ended, false, run.errors());
  return (await readReady(directory)) ?? assert.fail();
}

export async function readReady(directory: string): Promise<ReadyFile | undefined> {
  const text = await readFile(join(directory, '.ringwall', 'ready.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as ReadyFile);
}

export async function ask(
  ready: ReadyFile,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(ready.gateway);
  const [host] = ready.hosts;
  const outgoing = request({
    host: hostname,
    port,
    path,
    servername: host ?? '',
    headers: { host: host ?? '', ...headers },
    ca: await readFile(ready.ca, 'utf8'),
    agent: false,
    timeout: 10_000,
  });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: (await response.toArray()).map(String).join('') };
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return () => text;
}

export async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + UP_WITHIN_MS;
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'it did not come to that in time');
    await sleep(50);
  }
}

export function everyFewMs(work: () => Promise<void>): { end(): void; readonly ended: Promise<void> } {
  const stop = new AbortController();
  const ended = (async () => {
    while (!stop.signal.aborted) {
      await work();
      await sleep(5);
    }
  })();
  return { end: () => stop.abort(), ended };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
