import type { Probe } from '#domain/attack';
import { passes, type Observation } from '#domain/proof';
import type { Gear } from './gear.ts';
import { nothingSeen, seen, type Seen } from './seen.ts';
import { Wire, type WireOptions } from './wire.ts';
import { writeMessage } from './write-message.ts';

type Revocation = Extract<Probe, { kind: 'revocation' }>;

const LIFETIME_S = 300;
/** A live connection must be gone this soon after every point has the revocation. */
const CUT_WITHIN_MS = 1_000;

/** Gets a fresh certificate, uses it, has it revoked, and tries again: each time with a certificate of its own. */
export async function shootRevocation(gear: Gear, probe: Revocation): Promise<Seen> {
  const { grounds } = gear;
  const issued = await grounds.issueCertificate({ of: probe.caller, lifetimeSeconds: LIFETIME_S });
  const { address, tls } = await gear.inboundWire(probe.callee, { kind: 'none' });
  const own: WireOptions = {
    address,
    tls: { ...tls, cert: issued.certificateChainPem, key: issued.privateKeyPem },
  };
  const written = writeMessage(probe.message, probe.callee);
  const wire = await Wire.open(own);
  try {
    const before = seen(await wire.exchange(written.bytes, written.method), written, true);
    if (!passes(before.observation)) {
      return nothingSeen({
        kind: 'not-made',
        why: 'the certificate does not pass before its revocation either',
      });
    }
    await grounds.revokeSerial(issued.serial, issued.notAfterMs);
    switch (probe.moment) {
      case 'new-handshake':
        return await again(own, written);
      case 'live-connection': {
        const startedMs = performance.now();
        if (await wire.untilEnded(CUT_WITHIN_MS)) {
          const afterMs = Math.round(performance.now() - startedMs);
          return { ...before, observation: { kind: 'cut', afterMs } satisfies Observation };
        }
        return seen(await wire.exchange(written.bytes, written.method), written, true);
      }
      case 'resumption': {
        const { session } = wire;
        if (session === undefined)
          return nothingSeen({ kind: 'no-session', detail: 'the agent offers no session to resume' });
        return await again({ address, tls: { ...own.tls, session } }, written);
      }
    }
  } finally {
    wire.close();
  }
}

async function again(options: WireOptions, written: ReturnType<typeof writeMessage>): Promise<Seen> {
  const wire = await Wire.open(options);
  try {
    return seen(await wire.exchange(written.bytes, written.method), written, true);
  } finally {
    wire.close();
  }
}
