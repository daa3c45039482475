import { CodedError } from '#base/error';

export class GatewayError extends CodedError<'wrong-bundle' | 'no-edge-certificate' | 'duplicate-issuer'> {}
