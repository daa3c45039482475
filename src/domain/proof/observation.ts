import type { Reason } from '#domain/decision';

/** What a probe met: facts only, no judgement. */
export type Observation =
  /** The service answered, or somebody who is not Ringwall. */
  | { readonly kind: 'passed'; readonly status: number; readonly requestId: string }
  /** Ringwall answered with a problem document of its own. */
  | { readonly kind: 'refused'; readonly reason: Reason; readonly status: number; readonly requestId: string }
  /** The connection or session is up, and nobody has closed it. */
  | { readonly kind: 'connected' }
  /** The connection was up, and ended before any answer. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'no-session'; readonly detail: string }
  | { readonly kind: 'no-connection'; readonly detail: string }
  /** The connection stayed open, and nothing came. */
  | { readonly kind: 'silent'; readonly afterMs: number }
  /** The connection that was open was closed from the other side. */
  | { readonly kind: 'cut'; readonly afterMs: number }
  /** A check of files. */
  | { readonly kind: 'checked'; readonly detected: boolean; readonly detail: string }
  /** The probe could not be made at all: says nothing about the system. */
  | { readonly kind: 'not-made'; readonly why: string };

export function describeObservation(observation: Observation): string {
  switch (observation.kind) {
    case 'passed':
      return `the service answered ${observation.status}`;
    case 'refused':
      return `refused with ${observation.status} ${observation.reason}`;
    case 'connected':
      return 'the connection came up and stayed';
    case 'closed':
      return 'the connection was closed without an answer';
    case 'no-session':
      return `no TLS session: ${observation.detail}`;
    case 'no-connection':
      return `no connection: ${observation.detail}`;
    case 'silent':
      return `no answer within ${observation.afterMs} ms`;
    case 'cut':
      return `the connection was closed after ${observation.afterMs} ms`;
    case 'checked':
      return observation.detail;
    case 'not-made':
      return observation.why;
  }
}
