import { CodedError } from '#base/error';

export class LedgerError extends CodedError<
  | 'in-use'
  | 'closed'
  | 'write-failed'
  | 'overflow'
  | 'bad-batch'
  | 'out-of-sequence'
  | 'damaged'
  | 'not-found'
  | 'not-yet'
> {}
