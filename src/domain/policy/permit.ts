import type { Reason } from '#domain/decision';

const MINT = Symbol('permit');

/** Shows that a rule of the model allows this call. Only this room can make one. */
export class Permit {
  readonly kind = 'permit';
  /** The rule that allowed it: `calls/<caller>/<callee>/<index>`, `edge/<host>/<index>`, `egress/<service>/<index>`. */
  readonly rule: string;

  constructor(key: typeof MINT, rule: string) {
    if (key !== MINT) throw new TypeError('a permit is made by a decision only');
    this.rule = rule;
  }
}

export type Refusal = {
  readonly kind: 'refused';
  readonly reason: Reason;
  /** The rule that came nearest; empty when none is near. */
  readonly nearest: string;
};

/** For the files of this room: they make permits when tables are compiled, so that deciding allocates nothing. */
export function mintPermit(rule: string): Permit {
  return new Permit(MINT, rule);
}

export function refuse(reason: Reason, nearest = ''): Refusal {
  return { kind: 'refused', reason, nearest };
}
