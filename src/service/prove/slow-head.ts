import type { Probe } from '#domain/attack';
import { observe } from './observe.ts';
import type { Gear } from './gear.ts';
import type { Seen } from './seen.ts';
import { Wire } from './wire.ts';
import { showReceived } from './write-message.ts';

const BYTE_EVERY_MS = 200;

/** Sends a head one byte at a time, without end, until the other side has had enough. */
export async function shootSlowHead(gear: Gear, probe: Extract<Probe, { kind: 'slow-head' }>): Promise<Seen> {
  const wire = await Wire.open(gear.edgeWire(probe.host));
  const startedMs = performance.now();
  try {
    const head = `GET ${probe.path} HTTP/1.1\r\nHost: ${probe.host}\r\nX-Slow: `;
    for (let at = 0; performance.now() - startedMs < probe.forMs; at++) {
      wire.write(Buffer.from(head[at] ?? 'a', 'latin1'));
      if ((await wire.untilEnded(BYTE_EVERY_MS)) || wire.look().answer !== undefined) break;
    }
    const isOpen = wire.isUp;
    const talk = wire.look();
    const sent = `${head}… (a byte every ${BYTE_EVERY_MS} ms)`;
    const observation =
      isOpen && talk.answer === undefined
        ? ({ kind: 'connected' } as const)
        : observe(talk, { tls: true, answer: true });
    return {
      observation,
      sent,
      received: showReceived(talk.received),
      durationMs: performance.now() - startedMs,
    };
  } finally {
    wire.close();
  }
}
