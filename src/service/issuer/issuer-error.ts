import { CodedError } from '#base/error';

export class IssuerError extends CodedError<'port-taken' | 'bad-user' | 'bad-scope'> {}
