import { CodedError } from '#base/error';

export class AgentError extends CodedError<'wrong-bundle' | 'bad-origin'> {}
