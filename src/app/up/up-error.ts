import { CodedError } from '#base/error';

export class UpError extends CodedError<
  | 'port-taken'
  | 'no-state-directory'
  | 'other-trust-domain'
  | 'interrupted'
  | 'no-run'
  | 'no-program'
  | 'no-answer'
> {}
