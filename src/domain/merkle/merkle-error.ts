import { CodedError } from '#base/error';

export class MerkleError extends CodedError<
  | 'not-in-tree'
  | 'wrong-proof'
  | 'wrong-root'
  | 'bad-tile'
  | 'bad-entry-bundle'
  | 'entry-too-long'
  | 'bad-note'
  | 'bad-key'
  | 'bad-checkpoint'
  | 'bad-proof-text'
  | 'unknown-signer'
  | 'wrong-signature'
  | 'wrong-origin'
> {}
