import { problemFor, REASONS, type Reason } from '#domain/decision';
import { encodeResponseHead, HeaderList } from '#domain/http';
import type { HeaderLine } from '#domain/limit';
import type { Exchange } from './exchange.ts';

/** Writes the answer to a refusal or failure: `application/problem+json` (RFC 9457). Where errors become responses. */
export function encodeProblem(refusal: {
  readonly x: Exchange;
  readonly reason: Reason;
  readonly headers: readonly HeaderLine[];
  readonly keepAlive: boolean;
  readonly nowMs: number;
}): string {
  const { x, reason, keepAlive } = refusal;
  const { requestId } = x.intake;
  const { status } = REASONS[reason];
  const body = `${JSON.stringify(problemFor(reason, requestId))}\n`;
  const headers = new HeaderList();
  x.hop.dressAnswer(headers);
  headers.push('content-type', 'application/problem+json');
  headers.push('cache-control', 'no-store');
  headers.push('x-content-type-options', 'nosniff');
  headers.push('date', new Date(refusal.nowMs).toUTCString());
  headers.push('x-request-id', requestId);
  const challenge = challengeFor(reason);
  if (challenge !== undefined && !refusal.headers.some(([name]) => name === 'www-authenticate')) {
    headers.push('www-authenticate', challenge);
  }
  for (const [name, value] of refusal.headers) headers.push(name, value);
  for (const [name, value] of x.greeting) headers.push(name, value);
  const head = encodeResponseHead({
    status,
    headers,
    framing: { kind: 'length', bytes: body.length },
    keepAlive,
  });
  if (x.method === 'HEAD') return head;
  x.bytesOut = body.length;
  return head + body;
}

/** RFC 6750 §3: what was wrong with the credentials, in the error codes that clients understand. */
function challengeFor(reason: Reason): string | undefined {
  if (REASONS[reason].status !== 401) return undefined;
  // RFC 6750 §3.1: a request without credentials is told no error.
  return reason === 'credentials-missing' ? 'Bearer' : 'Bearer error="invalid_token"';
}
