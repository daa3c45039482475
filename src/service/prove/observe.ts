import { isReason } from '#domain/decision';
import type { Observation } from '#domain/proof';
import type { Answer } from './read-answer.ts';
import { isLocalError, type Talk } from './wire.ts';

/** Reads what a connection showed. @param wants what the probe set out for */
export function observe(talk: Talk, wants: { readonly tls: boolean; readonly answer: boolean }): Observation {
  const { stage, answer, ended, error } = talk;
  if (isLocalError(error))
    return { kind: 'not-made', why: `this machine's TLS library does not offer it (${error})` };
  if (answer !== undefined) return observeAnswer(answer);
  if (stage === 'none') return { kind: 'no-connection', detail: error === '' ? 'timed out' : error };
  if (wants.tls && stage === 'tcp') return { kind: 'no-session', detail: error === '' ? 'closed' : error };
  if (ended) {
    // TLS 1.3 (RFC 8446 §4.4.2.4): the alert about a client's certificate comes after the client is done.
    return wants.tls && error.startsWith('ERR_SSL')
      ? { kind: 'no-session', detail: error }
      : { kind: 'closed' };
  }
  return wants.answer ? { kind: 'silent', afterMs: Math.round(talk.durationMs) } : { kind: 'connected' };
}

function observeAnswer({ status, fields, body }: Answer): Observation {
  const requestId = fields['x-request-id'] ?? '';
  const reason = reasonOf(fields, body, requestId);
  if (reason === undefined) return { kind: 'passed', status, requestId };
  return { kind: 'refused', reason, status, requestId };
}

/** The reason, if this is a problem document of Ringwall itself: it names the request by the id of the header. */
function reasonOf(fields: Answer['fields'], body: string, requestId: string) {
  if (fields['content-type']?.startsWith('application/problem+json') !== true || requestId === '')
    return undefined;
  try {
    const problem = JSON.parse(body) as { readonly reason?: unknown; readonly requestId?: unknown } | null;
    const reason = problem?.reason;
    if (typeof reason !== 'string' || !isReason(reason) || problem?.requestId !== requestId) return undefined;
    return reason;
  } catch {
    return undefined;
  }
}
