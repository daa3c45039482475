import type { Permit, Refusal } from '#domain/policy';
import { Splice, type Arrival, type Dialled, type Engine, type Held, type Peer } from '#service/proxy';

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

/** RFC 5280 §4.1.2.5: a certificate is valid through the second that it names last. */
const LAST_SECOND_MS = 1_000;

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
    connected: peer => bind(engine, splice, peer),
    settings: engine.settings,
    clock: engine.clock,
    deadlines: engine.deadlines,
    ended: end => {
      const durationUs = Math.round((engine.clock.monotonicMs() - startedMs) * 1000);
      engine.record({ ...facts, ...end, rule, timeMs, durationUs }, side.mode);
    },
  });
  engine.hold(splice, [caller, ...side.names]);
  bind(engine, splice, arrival.peer);
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

/** What happens to a certificate at one end happens to the connection: there is no next request to decide on. */
function bind(engine: Engine, splice: Splice, peer: Peer | undefined): void {
  if (peer === undefined) return;
  splice.endBy(peer.notAfterMs + LAST_SECOND_MS);
  engine.bind(splice, peer);
}
