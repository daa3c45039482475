import type { Reason } from '#domain/decision';

export type TokenReason = Extract<Reason, 'token-malformed' | 'token-invalid' | 'token-expired'>;

/** `detail` is for operators: which check failed. It never holds a part of the token. */
export type Refusal = { readonly kind: 'refused'; readonly reason: TokenReason; readonly detail: string };

export function malformed(detail: string): Refusal {
  return { kind: 'refused', reason: 'token-malformed', detail };
}

export function invalid(detail: string): Refusal {
  return { kind: 'refused', reason: 'token-invalid', detail };
}

export function expired(detail: string): Refusal {
  return { kind: 'refused', reason: 'token-expired', detail };
}
