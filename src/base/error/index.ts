/**
 * Errors with a stable code, and the check for exhaustive unions.
 *
 * Each room has one error class: `class PathError extends CodedError<'encoded-slash' | …>`. Tests and callers look
 * at the code, never at the text. Messages are lowercase, without a full stop, and never hold a secret.
 * Expected outcomes (denied, limited, not found) are values and not errors.
 */
export { CodedError, hasCode } from './coded-error.ts';
export { assertNever } from './assert-never.ts';
export { quote } from './quote.ts';
