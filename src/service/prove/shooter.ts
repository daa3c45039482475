import { randomInt } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import { assertNever } from '#base/error';
import type { CertificateRecipe, Message, Place, Probe, TlsRecipe } from '#domain/attack';
import type { Address } from '#domain/bundle';
import { shootBurst } from './burst.ts';
import { CertificateSmith } from './certificates.ts';
import type { Gear } from './gear.ts';
import type { Grounds } from './grounds.ts';
import { Insiders } from './inside.ts';
import { LedgerChecks } from './ledger-checks.ts';
import { nothingSeen, seen, type Seen } from './seen.ts';
import { shootRevocation } from './revocation.ts';
import { shootSlowHead } from './slow-head.ts';
import { TokenSmith } from './tokens.ts';
import { talkOnce, type WireOptions } from './wire.ts';
import { writeMessage, type Line } from './write-message.ts';

type ProbeOf<K extends Probe['kind']> = Extract<Probe, { kind: K }>;

const ANONYMOUS_HEADER = 'x-ringwall-anonymous';
/** How many anonymous callers a proof is: so that limits per client do not answer for other rings. */
const ANONYMOUS_CALLERS = 12;

/** Carries out probes against one system. */
export class Shooter implements Gear {
  readonly grounds: Grounds;
  readonly tokens: TokenSmith;
  readonly certificates: CertificateSmith;
  readonly #insiders: Insiders;
  readonly #ledger: LedgerChecks;
  readonly #anonymous: string[] = [];
  /**
   * The address from which this proof comes to the gateway: another one for each proof, so that what an earlier one
   * spent of an address's limits and lockouts does not answer for other rings.
   */
  readonly #source = `127.${randomInt(1, 255)}.${randomInt(255)}.${randomInt(1, 255)}`;
  #turn = 0;

  constructor(grounds: Grounds) {
    this.grounds = grounds;
    this.tokens = new TokenSmith(grounds);
    this.certificates = new CertificateSmith(grounds);
    this.#insiders = new Insiders(grounds);
    this.#ledger = new LedgerChecks(grounds.ledger);
  }

  /** Never throws: what could not be made is an observation too. */
  async shoot(probe: Probe): Promise<Seen> {
    const startedMs = performance.now();
    try {
      const seen = await this.#shoot(probe);
      return { ...seen, durationMs: performance.now() - startedMs };
    } catch (error) {
      const why = `the probe could not be made: ${error instanceof Error ? error.message : String(error)}`;
      return { ...nothingSeen({ kind: 'not-made', why }), durationMs: performance.now() - startedMs };
    }
  }

  edgeWire(host: string, tls?: TlsRecipe): WireOptions {
    const { serverName = host } = tls ?? {};
    const address = this.addressOf({ kind: 'gateway' });
    return {
      address,
      tls: {
        // All of 127.0.0.0/8 is this machine on Linux; elsewhere only 127.0.0.1 is.
        ...(process.platform === 'linux' && address.host === '127.0.0.1' && { localAddress: this.#source }),
        ca: [...this.grounds.trustAnchors],
        ...(serverName === '' ? { checkServerIdentity: () => undefined } : { servername: serverName }),
        ...weaken(tls),
      },
    };
  }

  async inboundWire(service: string, certificate: CertificateRecipe, tls?: TlsRecipe): Promise<WireOptions> {
    return {
      address: this.addressOf({ kind: 'inbound', service }),
      tls: {
        ca: [...this.grounds.trustAnchors],
        // Peers are known by their SPIFFE ID; what the agent of the callee shows is not what is attacked.
        checkServerIdentity: () => undefined,
        ...(await this.certificates.make(certificate)),
        ...weaken(tls),
      },
    };
  }

  /** @throws when the system has no such place */
  addressOf(place: Place, from?: string): Address {
    const address = this.grounds.address(place, from);
    if (address === undefined) throw new Error(`nobody knows where the ${describePlace(place)} listens`);
    return address;
  }

  async close(): Promise<void> {
    this.#insiders.close();
    await this.tokens.close();
  }

  #shoot(probe: Probe): Promise<Seen> {
    switch (probe.kind) {
      case 'edge':
        return this.#shootEdge(probe);
      case 'inbound':
        return this.#shootInbound(probe);
      case 'outbound':
        return this.#shootOutbound(probe);
      case 'plaintext':
        return this.#shootPlaintext(probe);
      case 'burst':
        return shootBurst(this, probe);
      case 'slow-head':
        return shootSlowHead(this, probe);
      case 'revocation':
        return shootRevocation(this, probe);
      case 'ledger':
        return this.#checkLedger(probe);
      default:
        return assertNever(probe);
    }
  }

  async #shootEdge({ host, message, token, tls }: ProbeOf<'edge'>): Promise<Seen> {
    const lines = message.kind === 'nothing' ? [] : await this.tokens.lines(token);
    const written = writeMessage(message, host, [
      ...lines,
      ...this.#anonymousLines(message, token.kind === 'none'),
    ]);
    const talk = await talkOnce(this.edgeWire(host, tls), written.bytes, written.method);
    const minted = talk.answer?.fields[ANONYMOUS_HEADER];
    if (minted !== undefined && this.#anonymous.length < ANONYMOUS_CALLERS) this.#anonymous.push(minted);
    return seen(talk, written, true);
  }

  async #shootInbound({ service, certificate, message, tls }: ProbeOf<'inbound'>): Promise<Seen> {
    const written = writeMessage(message, service);
    return seen(
      await talkOnce(await this.inboundWire(service, certificate, tls), written.bytes, written.method),
      written,
      true,
    );
  }

  async #shootOutbound({ caller, callee, message }: ProbeOf<'outbound'>): Promise<Seen> {
    const written = writeMessage(message, callee);
    const address = this.addressOf({ kind: 'outbound', caller, callee });
    // Without a network of its own, a service stands on this machine, as we do.
    const insider = this.#insiders.of(caller);
    const { bytes, method } = written;
    return seen(
      await (insider?.talk(address, bytes, method) ?? talkOnce({ address }, bytes, method)),
      written,
      false,
    );
  }

  async #shootPlaintext({ from, to, message }: ProbeOf<'plaintext'>): Promise<Seen> {
    const written = writeMessage(message, 'localhost');
    if (from === 'host') {
      const address = this.addressOf(to);
      return seen(await talkOnce({ address }, written.bytes, written.method), written, false);
    }
    const address = this.addressOf(to, from.service);
    const insider = this.#insiders.of(from.service);
    if (insider === undefined) throw new Error(`${from.service} has no network of its own`);
    return seen(await insider.talk(address, written.bytes, written.method), written, false);
  }

  async #checkLedger({ check }: ProbeOf<'ledger'>): Promise<Seen> {
    return nothingSeen(await this.#ledger.check(check));
  }

  /** UNTRUSTED no more than any client's: a few ids that the gateway minted, in turn. */
  #anonymousLines(message: Message, isAnonymous: boolean): Line[] {
    const isOwn = message.kind === 'request' && isAnonymous && this.#anonymous.length === ANONYMOUS_CALLERS;
    if (!isOwn) return [];
    const value = this.#anonymous[this.#turn++ % ANONYMOUS_CALLERS] ?? '';
    return [{ name: ANONYMOUS_HEADER, value, shownAs: '<anonymous id>' }];
  }
}

/** What a recipe offers; the checks of a rightful client would end a weak handshake before the server can. */
function weaken(tls: TlsRecipe | undefined): ConnectionOptions {
  if (tls?.maxVersion !== undefined) {
    return {
      minVersion: tls.maxVersion,
      maxVersion: tls.maxVersion,
      ciphers: 'DEFAULT:@SECLEVEL=0',
      rejectUnauthorized: false,
    };
  }
  // TLS 1.3 has no weak suites: with it on offer, the weak ones would never be looked at.
  if (tls?.ciphers !== undefined)
    return { maxVersion: 'TLSv1.2', ciphers: tls.ciphers, rejectUnauthorized: false };
  return {};
}

function describePlace(place: Place): string {
  switch (place.kind) {
    case 'gateway':
    case 'control':
      return place.kind;
    case 'inbound':
    case 'app':
      return `${place.kind} port of ${place.service}`;
    case 'outbound':
      return `way of ${place.caller} to ${place.callee}`;
    case 'admin':
      return `admin port of ${place.point}`;
    default:
      return assertNever(place);
  }
}
