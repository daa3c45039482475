import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { CallMaker, CallResult } from './call-maker.ts';
import type { StandInService } from './stand-in-config.ts';

/** How many calls lie between this request and the one that started it all. */
const DEPTH_HEADER = 'stand-in-depth';
/** How many of its calls a stand-in makes, by depth: a request makes at most 24 + 24 * 4 + 96 calls in all. */
const CALLS_BY_DEPTH = [24, 4, 1] as const;

/** What a stand-in takes for a wrong password, so that lockouts can be rehearsed; every other one is right. */
const WRONG_PASSWORD = 'wrong';
const MAX_SIGN_IN_BYTES = 64 * 1024;

/** Answers `request`, once its body has come, after making the service's own calls. */
export async function answer(
  service: StandInService,
  request: IncomingMessage,
  response: ServerResponse,
  calls: CallMaker,
): Promise<void> {
  const { headers } = request;
  if (await isWrongSignIn(request)) {
    response.writeHead(401, { 'content-length': 0 });
    response.end();
    return;
  }
  const depth = depthOf(headers);
  const due = service.calls.slice(0, CALLS_BY_DEPTH[depth] ?? 0);
  const results = await calls.make(due, { ...passedOn(headers), [DEPTH_HEADER]: String(depth + 1) });
  const body = Buffer.from(JSON.stringify(describe(service, request, results)));
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

function describe(service: StandInService, request: IncomingMessage, calls: readonly CallResult[]) {
  const { headers } = request;
  return {
    service: service.name,
    method: request.method,
    path: request.url,
    caller: headers['x-ringwall-caller'],
    client: headers['x-ringwall-client'],
    user: headers['x-ringwall-user'],
    requestId: headers['x-request-id'],
    calls,
  };
}

/** Reads the body to its end: a service that answers before would not notice a body without one. */
async function isWrongSignIn(request: IncomingMessage): Promise<boolean> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      if (bytes <= MAX_SIGN_IN_BYTES) chunks.push(chunk);
    }
  } catch {
    // The caller is gone, and nobody will read the answer.
    return false;
  }
  const isJson = request.headers['content-type']?.startsWith('application/json') === true;
  if (request.method !== 'POST' || !isJson || bytes > MAX_SIGN_IN_BYTES) return false;
  return Buffer.concat(chunks).includes(`"password":"${WRONG_PASSWORD}"`);
}

function depthOf(headers: IncomingHttpHeaders): number {
  const text = headers[DEPTH_HEADER];
  // UNTRUSTED: outsiders may send it too; what is not a number counts as the deepest, which makes no calls.
  return text === undefined ? 0 : typeof text === 'string' && /^[0-9]$/.test(text) ? Number(text) : Infinity;
}

/** What lets one request be followed through all services. */
function passedOn(headers: IncomingHttpHeaders): Record<string, string> {
  const names = ['x-request-id', 'traceparent', 'tracestate'];
  return Object.fromEntries(
    names.flatMap(name => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}
