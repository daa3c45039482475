import { CodedError } from '#base/error';

export class ProveError extends CodedError<
  'not-running' | 'bad-ready-file' | 'bad-answer' | 'no-such-shot' | 'not-written'
> {}
