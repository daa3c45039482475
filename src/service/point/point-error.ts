import { CodedError } from '#base/error';

/** Why a point does not come up, or does not go on. */
export class PointError extends CodedError<
  | 'enrolment-refused'
  | 'bad-trust-anchors'
  | 'not-control'
  | 'unreachable'
  | 'bad-certificate'
  | 'out-of-order'
  | 'silent'
  | 'closed'
> {}
