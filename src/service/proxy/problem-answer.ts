import { problemFor, REASONS, type Reason } from '#domain/decision';
import { HeaderList } from '#domain/http';
import type { HeaderLine } from '#domain/limit';
import type { AnswerHead } from './answer.ts';
import type { Exchange } from './exchange.ts';

/** The answer to a refusal or failure: `application/problem+json` (RFC 9457). Where errors become responses. */
export function describeProblem(refusal: {
  readonly x: Exchange;
  readonly reason: Reason;
  readonly headers: readonly HeaderLine[];
  readonly keepAlive: boolean;
  readonly nowMs: number;
}): { readonly head: AnswerHead; readonly body: string } {
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
  return { head: { status, headers, framing: { kind: 'length', bytes: body.length }, keepAlive }, body };
}

/** RFC 6750 §3: what was wrong with the credentials, in the error codes that clients understand. */
function challengeFor(reason: Reason): string | undefined {
  if (REASONS[reason].status !== 401) return undefined;
  // RFC 6750 §3.1: a request without credentials is told no error.
  return reason === 'credentials-missing' ? 'Bearer' : 'Bearer error="invalid_token"';
}
