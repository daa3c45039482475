import type { Observation } from '#domain/proof';
import { observe } from './observe.ts';
import type { Talk } from './wire.ts';
import { showReceived, type Written } from './write-message.ts';

/** What a probe met, with what went over the wire. */
export type Seen = {
  readonly observation: Observation;
  readonly sent: string;
  readonly received: string;
  readonly durationMs: number;
  /** When Ringwall said to come back later: after how long. */
  readonly retryAfterMs?: number;
};

export function seen(talk: Talk, written: Written, tls: boolean): Seen {
  const retryAfter = Number(talk.answer?.fields['retry-after'] ?? Number.NaN);
  return {
    observation: observe(talk, { tls, answer: written.bytes !== undefined }),
    sent: written.shown,
    received: showReceived(talk.received),
    durationMs: talk.durationMs,
    ...(Number.isFinite(retryAfter) && { retryAfterMs: retryAfter * 1000 }),
  };
}

export function nothingSeen(observation: Observation): Seen {
  return { observation, sent: '', received: '', durationMs: 0 };
}
