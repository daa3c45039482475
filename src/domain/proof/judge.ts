import { assertNever } from '#base/error';
import type { Expectation, Shot } from '#domain/attack';
import { REASONS, type Reason } from '#domain/decision';
import type { TransactionRecord } from '#domain/record';
import { describeObservation, type Observation } from './observation.ts';

/** What an attack showed. Only `held` is good news. */
export type Verdict =
  | { readonly kind: 'held'; readonly why: string }
  /** The attack got through. */
  | { readonly kind: 'failed'; readonly why: string }
  /** Nothing was shown: the way was not open, or another ring stood before. */
  | { readonly kind: 'inconclusive'; readonly why: string };

/** What one shot met. */
export type Met = {
  /** Of the legitimate act on the same way, just before; absent where the shot has none. */
  readonly control: Observation | undefined;
  readonly observation: Observation;
  /** The ledger's record of the probe; `undefined` when none is expected or none was found. */
  readonly record: TransactionRecord | undefined;
  /** The ledger says that the point under attack allowed it, whoever refused it behind. */
  readonly letThrough: boolean;
};

/**
 * Judges a shot. A refusal counts only when the legitimate act passed, and when it was Ringwall that refused, for a
 * reason of the ring under attack: what fails for another cause has proved nothing.
 */
export function judge(shot: Pick<Shot, 'attack' | 'expect' | 'control'>, met: Met): Verdict {
  const { control, observation } = met;
  if (observation.kind === 'not-made') return inconclusive(observation.why);
  if (shot.control !== undefined && !passes(control)) {
    const seen = control === undefined ? 'it was not made' : describeObservation(control);
    return inconclusive(`the legitimate request on this way does not pass: ${seen}`);
  }
  return judgeObservation(shot.expect, shot.attack.ring, met);
}

/** Whether a legitimate act got to where it belongs. */
export function passes(observation: Observation | undefined): boolean {
  if (observation?.kind === 'checked') return observation.detected;
  return observation?.kind === 'passed' || observation?.kind === 'connected';
}

function judgeObservation(expect: Expectation, ring: Shot['attack']['ring'], met: Met): Verdict {
  const { observation } = met;
  switch (expect.kind) {
    case 'refused':
      return judgeRefusal(expect, ring, met);
    case 'no-session':
      return judgeSession(observation);
    case 'no-connection':
      if (observation.kind === 'no-connection') return held(observation);
      return failed(`a connection came up: ${describeObservation(observation)}`);
    case 'cut':
      if (observation.kind === 'cut') return held(observation);
      if (observation.kind === 'passed' || observation.kind === 'connected')
        return failed(describeObservation(observation));
      return inconclusive(describeObservation(observation));
    case 'recorded':
      return judgeRecord(expect, met);
    case 'refusal-recorded':
      if (observation.kind !== 'refused') return inconclusive(describeObservation(observation));
      if (met.record === undefined)
        return failed(`it was ${describeObservation(observation)}, and the ledger has no record of it`);
      return { kind: 'held', why: 'every refusal stands in the ledger' };
    case 'detected':
      if (observation.kind !== 'checked') return inconclusive(describeObservation(observation));
      return observation.detected ? held(observation) : failed(observation.detail);
    default:
      return assertNever(expect);
  }
}

function judgeRefusal(
  expect: Extract<Expectation, { kind: 'refused' }>,
  ring: Shot['attack']['ring'],
  { observation, letThrough }: Met,
): Verdict {
  switch (observation.kind) {
    case 'refused': {
      const { reason } = observation;
      // A hole behind which another wall stands is a hole.
      if (letThrough) return failed(`it was let through, and refused only by the point behind (${reason})`);
      if (expect.reasons.includes(reason) || REASONS[reason].ring === ring) return held(observation);
      // Whatever went wrong behind the decision: the decision was to let it through.
      if (isUpstreamFault(reason))
        return failed(`it was let through to the service, which did not answer (${reason})`);
      const other = REASONS[reason].ring;
      if (other === 'none') return inconclusive(describeObservation(observation));
      return inconclusive(
        `the ${other} ring answered first (${reason}): nothing is known of the ${ring} ring alone`,
      );
    }
    case 'closed':
    case 'no-session':
      if (expect.orClosed === true) return held(observation);
      return inconclusive(describeObservation(observation));
    case 'passed':
    case 'connected':
      return failed(describeObservation(observation));
    case 'silent':
      if (expect.atOnce === true) return failed(`nobody refused it: ${describeObservation(observation)}`);
      return inconclusive(describeObservation(observation));
    case 'no-connection':
    case 'cut':
    case 'checked':
    case 'not-made':
      return inconclusive(describeObservation(observation));
    default:
      return assertNever(observation);
  }
}

function judgeSession(observation: Observation): Verdict {
  switch (observation.kind) {
    case 'no-session':
    case 'closed':
      return held(observation);
    case 'refused':
      if (REASONS[observation.reason].ring === 'transport') return held(observation);
      return failed(`a session came up, and only then came a refusal (${observation.reason})`);
    case 'passed':
    case 'connected':
      return failed(`a session came up: ${describeObservation(observation)}`);
    case 'no-connection':
    case 'silent':
    case 'cut':
    case 'checked':
    case 'not-made':
      return inconclusive(describeObservation(observation));
    default:
      return assertNever(observation);
  }
}

function judgeRecord(
  expect: Extract<Expectation, { kind: 'recorded' }>,
  { observation, record }: Met,
): Verdict {
  if (observation.kind !== 'passed') return inconclusive(describeObservation(observation));
  if (expect.requestIdIsNot !== undefined && observation.requestId === expect.requestIdIsNot) {
    return failed('the request runs under the id that the client chose');
  }
  if (record === undefined) return failed('it passed, and the ledger has no record of it');
  if (expect.user !== undefined && record.user !== expect.user)
    return failed('the ledger believes the forged user');
  return { kind: 'held', why: 'it passed, and its record holds nothing that was forged' };
}

function isUpstreamFault(reason: Reason): boolean {
  return reason.startsWith('upstream-') || reason === 'response-too-large';
}

function held(observation: Observation): Verdict {
  return { kind: 'held', why: describeObservation(observation) };
}

function failed(why: string): Verdict {
  return { kind: 'failed', why };
}

function inconclusive(why: string): Verdict {
  return { kind: 'inconclusive', why };
}
