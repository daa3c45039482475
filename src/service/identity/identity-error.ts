import { CodedError } from '#base/error';

/** Why an issuer's keys could not be had, or an issuer was not accepted. */
export class IdentityError extends CodedError<
  | 'duplicate-issuer'
  | 'insecure-url'
  | 'issuer-unreachable'
  | 'issuer-timeout'
  | 'issuer-status'
  | 'issuer-too-large'
  | 'issuer-metadata'
  | 'issuer-keys'
> {}
