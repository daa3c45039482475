import { randomBytes } from 'node:crypto';
import { encodeBase64Url } from '#base/bytes';
import type { Message, Probe, Variation } from '#domain/attack';
import type { Gear } from './gear.ts';
import { nothingSeen, seen, type Seen } from './seen.ts';
import { Wire } from './wire.ts';
import { writeMessage, type Line } from './write-message.ts';

type Burst = Extract<Probe, { kind: 'burst' }>;

const ANONYMOUS_HEADER = 'x-ringwall-anonymous';
const ANONYMOUS_TOKEN_BYTES = 55;
/** Connections for one burst: as fast as a client can, and still bounded. */
const CONNECTIONS = 16;
const PATIENCE_MS = 40;

/** Sends the same request until Ringwall refuses it or `count` is spent. */
export async function shootBurst(gear: Gear, burst: Burst): Promise<Seen> {
  // A user of its own: what other attacks spent must not count here, nor the other way round.
  const user = `prover-burst-${encodeBase64Url(randomBytes(6))}`;
  const credentials = await gear.tokens.lines(burst.token, user);
  const isSignIn = burst.message.kind === 'request' && burst.message.body !== undefined;
  const state: State = { next: 0, refused: undefined, last: undefined, anonymous: undefined };
  const send = (wires: number, patienceMs: number | undefined) =>
    Promise.all(Array.from({ length: wires }, () => sendSome(gear, burst, credentials, state, patienceMs)));
  // The first one alone: it brings the id that the others show.
  await sendSome(gear, { ...burst, count: 1 }, credentials, state, undefined);
  // Guesses come one after the other: each depends on the failure before. A flood does not wait for its answers.
  await (isSignIn ? send(1, undefined) : send(CONNECTIONS, PATIENCE_MS));
  return (
    state.refused ?? state.last ?? nothingSeen({ kind: 'not-made', why: 'no request of the burst was sent' })
  );
}

type State = {
  next: number;
  refused: Seen | undefined;
  last: Seen | undefined;
  anonymous: string | undefined;
};

/** @param patienceMs how long an answer is waited for before the next request comes on a new connection */
async function sendSome(
  gear: Gear,
  burst: Burst,
  credentials: readonly Line[],
  state: State,
  patienceMs: number | undefined,
): Promise<void> {
  let wire = await Wire.open(gear.edgeWire(burst.host));
  try {
    while (state.next < burst.count && state.refused === undefined) {
      const at = state.next++;
      const { message, lines } = vary(burst.message, burst.variation, at, state.anonymous);
      const written = writeMessage(message, burst.host, [...credentials, ...lines]);
      const talk = await wire.exchange(written.bytes, written.method, patienceMs);
      const result = seen(talk, written, true);
      state.anonymous ??= talk.answer?.fields[ANONYMOUS_HEADER];
      const { kind } = result.observation;
      if (kind === 'refused') state.refused = result;
      else if (kind === 'passed') state.last = result;
      else state.last ??= result;
      if (kind === 'passed') continue;
      wire.close();
      wire = await Wire.open(gear.edgeWire(burst.host));
    }
  } finally {
    wire.close();
  }
}

function vary(
  message: Message,
  variation: Variation,
  at: number,
  anonymous: string | undefined,
): { readonly message: Message; readonly lines: readonly Line[] } {
  const own: Line[] =
    anonymous === undefined ? [] : [{ name: ANONYMOUS_HEADER, value: anonymous, shownAs: '<anonymous id>' }];
  switch (variation) {
    case 'none':
      return { message, lines: own };
    case 'forwarded-for': {
      const address = `198.51.100.${at % 254}`;
      const lines = ['X-Forwarded-For', 'X-Real-IP', 'True-Client-IP'].map(name => ({
        name,
        value: address,
      }));
      return { message, lines: [...own, ...lines, { name: 'Forwarded', value: `for=${address}` }] };
    }
    case 'drop-anonymous-id':
      return { message, lines: [] };
    case 'forge-anonymous-id': {
      const value = encodeBase64Url(randomBytes(ANONYMOUS_TOKEN_BYTES));
      return {
        message,
        lines: [
          { name: ANONYMOUS_HEADER, value },
          { name: 'Cookie', value: `__Host-ringwall-anon=${value}` },
        ],
      };
    }
    case 'other-path':
      return { message: changed(message, { query: `?n=${at}` }), lines: own };
    case 'other-case':
      return { message: changed(message, { caseOf: at }), lines: own };
  }
}

function changed(message: Message, change: { readonly query?: string; readonly caseOf?: number }): Message {
  if (message.kind !== 'request') return message;
  const { path, body } = message;
  return {
    ...message,
    path: `${path}${change.query ?? ''}`,
    ...(body !== undefined && change.caseOf !== undefined && { body: otherCase(body, change.caseOf) }),
  };
}

/** The account's name with other letters in upper case: `at` says which. */
function otherCase(body: string, at: number): string {
  const document = JSON.parse(body) as Record<string, string>;
  const [field] = Object.keys(document);
  if (field === undefined) return body;
  let bit = 0;
  const spelled = (document[field] ?? '').replace(/[a-z]/g, letter =>
    (at >> (bit++ % 16)) % 2 === 1 ? letter.toUpperCase() : letter,
  );
  return JSON.stringify({ ...document, [field]: spelled });
}
