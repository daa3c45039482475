import { spawn } from 'node:child_process';
import { NetworkError } from './network.ts';

const TIMEOUT_MS = 15_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** Runs a program of the system to its end. */
export type RunTool = (command: string, args: readonly string[], input?: string) => Promise<string>;

/**
 * @returns what it wrote to standard output
 * @throws {NetworkError} `tool-failed`, with the first line of its complaint
 */
export const runTool: RunTool = (command, args, input = '') => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(command, args, {
    // Administrators' programs are not in everybody's path.
    env: { PATH: `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
  const output = collect(child.stdout);
  const complaint = collect(child.stderr);
  child.on('error', error =>
    reject(new NetworkError('tool-failed', `${command} cannot be run`, { cause: error })),
  );
  child.on('close', (code, signal) => {
    if (code === 0) return resolve(output());
    const line = complaint().trim().split('\n')[0] ?? '';
    const words = `${command} ${args.slice(0, 3).join(' ')}`;
    reject(new NetworkError('tool-failed', `${words}: ${line === '' ? `ended by ${code ?? signal}` : line}`));
  });
  // A program that ends without reading its input has its say in its exit code.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return promise.finally(() => clearTimeout(timer));
};

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
