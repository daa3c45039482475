import type { Permit, Refusal } from '#domain/policy';
import { Splice, type Arrival, type Dialled, type Engine, type Held } from '#service/proxy';

export type TcpSide = {
  readonly direction: 'inbound' | 'outbound';
  /** Who connects: the peer of an inbound connection, the own service of an outbound one. */
  readonly callerOf: (arrival: Arrival) => string;
  readonly callee: string;
  readonly mode: 'durable' | 'relaxed';
  readonly authorize: (caller: string) => Permit | Refusal;
  readonly dial: () => Dialled | undefined;
  /** SPIFFE IDs at the ends of the connection, beside the caller's. */
  readonly names: readonly string[];
};

/**
 * Takes a TCP connection through identify, authorize, forward and record.
 *
 * There is one record when the connection ends. In durable mode there is one before its first byte, too: what is not
 * on disk does not happen, and a connection may last for days.
 */
export function acceptTcp(engine: Engine, side: TcpSide, arrival: Arrival): Held | undefined {
  const { socket, address } = arrival;
  const caller = side.callerOf(arrival);
  const facts = { direction: side.direction, caller, callee: side.callee, method: 'connect', address };
  const permit = side.authorize(caller);
  if (permit.kind === 'refused') {
    engine.recordRefused({ ...facts, reason: permit.reason, detail: '' });
    socket.on('error', () => {});
    socket.destroy();
    return undefined;
  }
  const { rule } = permit;
  const timeMs = engine.clock.nowMs();
  const startedMs = engine.clock.monotonicMs();
  const splice = new Splice({
    socket,
    dial: side.dial,
    settings: engine.settings,
    deadlines: engine.deadlines,
    ended: end => {
      const durationUs = Math.round((engine.clock.monotonicMs() - startedMs) * 1000);
      engine.record({ ...facts, ...end, rule, timeMs, durationUs }, side.mode);
    },
  });
  engine.hold(splice, [caller, ...side.names, ...serialNames(arrival)]);
  if (side.mode === 'relaxed') {
    splice.begin();
    return splice;
  }
  const nothing = { reason: '', bytesIn: 0, bytesOut: 0, durationUs: 0 } as const;
  engine.record({ ...facts, ...nothing, rule, timeMs, detail: 'opened' }, 'durable', error => {
    if (error === undefined) splice.begin();
    else splice.refuse('ledger-unavailable', 'the journal takes nothing');
  });
  return splice;
}

function serialNames({ peer }: Arrival): readonly string[] {
  return peer === undefined ? [] : [`serial:${peer.serial}`];
}
