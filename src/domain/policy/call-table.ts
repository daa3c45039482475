import type { BundleCall } from '#domain/bundle';
import { parsePattern, PathTable } from '#domain/path';
import { mintPermit, refuse, type Permit, type Refusal } from './permit.ts';

/** All calls that one caller may make to one callee. */
export class CallTable {
  readonly #byMethod = new Map<string, PathTable<Permit>>();
  readonly #paths = new PathTable<Permit>();
  #connect: Permit | undefined;
  readonly #noSuchCall: Refusal;

  constructor(calls: readonly BundleCall[]) {
    for (const call of calls) {
      const permit = mintPermit(call.rule);
      if (call.kind === 'connect') {
        this.#connect = permit;
        continue;
      }
      const parsed = parsePattern(call.path);
      // INVARIANT: bundles hold checked patterns; one that does not parse must not become a rule that never fires.
      if (parsed.kind === 'refused') throw new TypeError(`bundle has a bad path pattern in ${call.rule}`);
      let table = this.#byMethod.get(call.method);
      if (table === undefined) this.#byMethod.set(call.method, (table = new PathTable<Permit>()));
      table.add(parsed.pattern, permit);
      this.#paths.add(parsed.pattern, permit);
    }
    this.#noSuchCall = refuse('no-such-call', calls[0]?.rule);
  }

  /** @param path normalised */
  decide(method: string, path: string): Permit | Refusal {
    const permit = this.#byMethod.get(method)?.first(path);
    if (permit !== undefined) return permit;
    const otherMethod = this.#paths.first(path);
    return otherMethod === undefined ? this.#noSuchCall : refuse('no-such-call', otherMethod.rule);
  }

  decideConnect(): Permit | Refusal {
    return this.#connect ?? this.#noSuchCall;
  }
}
