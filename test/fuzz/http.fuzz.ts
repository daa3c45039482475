/**
 * Throws changed messages at the HTTP codec and checks what must hold for all of them (`http-properties.ts`).
 *
 *     node test/fuzz/http.fuzz.ts --seconds 10 --seed 1
 *
 * Each case is made from the seed and its number alone: what a failure prints is enough to repeat it.
 */
import { parseArgs } from 'node:util';
import { cutsOf, mutate, REQUESTS, RESPONSES } from './http-messages.ts';
import { checkRequest, checkResponse } from './http-properties.ts';
import { Random } from './random.ts';

export type FuzzReport = { readonly cases: number; readonly outcomes: ReadonlyMap<string, number> };

/** @throws {Error} naming seed, case and bytes of the first message for which a property does not hold */
export function fuzzHttp(options: {
  readonly seconds: number;
  readonly seed: number;
  readonly maxCases?: number;
}): FuzzReport {
  const { seconds, seed, maxCases = Infinity } = options;
  const outcomes = new Map<string, number>();
  const endsAtMs = performance.now() + seconds * 1000;
  let nth = 0;
  while (nth < maxCases && (nth % 64 !== 0 || performance.now() < endsAtMs)) {
    const outcome = runCase(seed, nth++);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  return { cases: nth, outcomes };
}

function runCase(seed: number, nth: number): string {
  const random = new Random(Math.imul(seed, 0x9e3779b1) + nth);
  const isRequest = random.below(4) > 0;
  const raw = mutate(random, isRequest ? REQUESTS : RESPONSES);
  const cuts = cutsOf(random, raw.length);
  try {
    return (isRequest ? checkRequest(raw, cuts) : checkResponse(raw, cuts)).outcome;
  } catch (error) {
    const message = `seed ${seed}, case ${nth}, pieces ${JSON.stringify(cuts)}: ${JSON.stringify(raw.toString('latin1'))}`;
    throw new Error(message, { cause: error });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string' } },
  });
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
  console.log(`seed ${seed}`);
  const { cases, outcomes } = fuzzHttp({ seconds: Number(values.seconds), seed });
  console.log(`${cases} cases, no property broken`);
  for (const [outcome, count] of [...outcomes].toSorted(([, a], [, b]) => b - a))
    console.log(`${count}\t${outcome}`);
}
