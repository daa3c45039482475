import { Agent, request as send } from 'node:http';
import { Refusal } from './refusal.ts';
import type { Request } from './service.ts';

export type Call = {
  readonly method: string;
  readonly path: string;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
};
export type Reply = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

const TIMEOUT_MS = 5000;
const MAX_REPLY_BYTES = 1024 * 1024;
/** One trace through all services: what comes in with a request goes out with its calls. */
const PASSED_ON = ['x-request-id', 'traceparent', 'tracestate'];
const agent = new Agent({ keepAlive: true, maxSockets: 32 });

/**
 * Calls another service by plain HTTP, at the address that Ringwall gave in `<CALLEE>_URL`; the TLS begins there.
 * @throws {Refusal} 502 when nobody answers, or not in time
 */
export async function call(callee: string, call: Call, cause: Request | undefined): Promise<Reply> {
  const variable = `${callee
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '_')
    .replace(/^(?=[0-9])/, '_')}_URL`;
  const base = process.env[variable];
  if (base === undefined || base === '') throw new Error(`${variable} is not set`);
  const headers: Record<string, string> = { accept: 'application/json', ...call.headers };
  for (const name of PASSED_ON) {
    const value = cause?.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  let body: string | undefined;
  if (call.json !== undefined) {
    body = JSON.stringify(call.json);
    headers['content-type'] = 'application/json';
  } else if (call.form !== undefined) {
    body = new URLSearchParams(call.form).toString();
    headers['content-type'] = 'application/x-www-form-urlencoded';
  }
  if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body));
  try {
    return await exchange(new URL(call.path, base), call.method, headers, body);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(502, 'no-answer', `${callee} does not answer`);
  }
}

function exchange(
  url: URL,
  method: string,
  headers: Record<string, string>,
  body: string | undefined,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = send(url, { method, headers, agent, timeout: TIMEOUT_MS }, incoming => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_REPLY_BYTES) outgoing.destroy(new Error('reply too large'));
        chunks.push(chunk);
      });
      incoming.on('error', reject);
      incoming.on('end', () => {
        resolve({ status: incoming.statusCode ?? 502, body: parse(Buffer.concat(chunks).toString('utf8')) });
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('timeout')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function parse(text: string): Readonly<Record<string, unknown>> {
  if (text === '') return {};
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The reply's body when all went well. @throws {Refusal} 502 for any other status than `expected` */
export function expectReply(reply: Reply, callee: string, ...expected: readonly number[]): Reply['body'] {
  if (expected.includes(reply.status)) return reply.body;
  throw new Refusal(502, 'bad-answer', `${callee} answered ${reply.status}`);
}
