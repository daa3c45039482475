import { CodedError } from '#base/error';

export class UpError extends CodedError<
  'port-taken' | 'no-state-directory' | 'other-trust-domain' | 'interrupted' | 'not-taken'
> {}
