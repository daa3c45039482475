import { CodedError } from '#base/error';

export class SuperviseError extends CodedError<'exited' | 'not-ready' | 'not-started' | 'state-in-use'> {}
