import { CodedError } from '#base/error';
import type { Reason } from '#domain/decision';

type FaultFacts = {
  /** What is answered when a request has this fault. */
  readonly reason: Reason;
  /** The rule that is broken. */
  readonly source: string;
};

/** Every way in which a message can be refused. The only list of them. */
export const HTTP_FAULTS = {
  // lines
  'bare-cr': { reason: 'malformed-request', source: 'RFC 9112 §2.2' },
  'bare-lf': { reason: 'malformed-request', source: 'RFC 9112 §2.2' },
  'control-character': { reason: 'malformed-request', source: 'RFC 9110 §5.5' },
  'non-ascii': { reason: 'malformed-request', source: 'RFC 9110 §5.5' },
  'head-too-large': { reason: 'headers-too-large', source: 'RFC 6585 §5' },
  'line-too-long': { reason: 'headers-too-large', source: 'RFC 6585 §5' },
  'too-many-headers': { reason: 'headers-too-large', source: 'RFC 6585 §5' },
  // request line
  'bad-request-line': { reason: 'malformed-request', source: 'RFC 9112 §3' },
  'bad-method': { reason: 'malformed-request', source: 'RFC 9110 §9.1' },
  'refused-method': { reason: 'method-not-allowed', source: 'RFC 9110 §9.3.6, §9.3.8' },
  'http-0.9': { reason: 'malformed-request', source: 'RFC 9112 §2.3' },
  'bad-version': { reason: 'malformed-request', source: 'RFC 9112 §2.3' },
  'unknown-version': { reason: 'unsupported-version', source: 'RFC 9110 §15.6.6' },
  'target-too-long': { reason: 'target-too-long', source: 'RFC 9112 §3' },
  'bad-target': { reason: 'malformed-request', source: 'RFC 9112 §3.2' },
  'target-fragment': { reason: 'ambiguous-path', source: 'RFC 9112 §3.2.1' },
  'authority-form': { reason: 'malformed-request', source: 'RFC 9112 §3.2.3' },
  'bad-absolute-form': { reason: 'malformed-request', source: 'RFC 9112 §3.2.2' },
  'host-mismatch': { reason: 'malformed-request', source: 'RFC 9112 §3.2.2' },
  // status line
  'bad-status-line': { reason: 'upstream-malformed', source: 'RFC 9112 §4' },
  'bad-status': { reason: 'upstream-malformed', source: 'RFC 9110 §15' },
  // field lines
  'leading-whitespace': { reason: 'malformed-request', source: 'RFC 9112 §2.2' },
  'obs-fold': { reason: 'malformed-request', source: 'RFC 9112 §5.2' },
  'space-before-colon': { reason: 'malformed-request', source: 'RFC 9112 §5.1' },
  'bad-name': { reason: 'malformed-request', source: 'RFC 9110 §5.1' },
  'missing-colon': { reason: 'malformed-request', source: 'RFC 9112 §5' },
  'duplicate-field': { reason: 'malformed-request', source: 'RFC 9110 §5.3' },
  'missing-host': { reason: 'malformed-request', source: 'RFC 9112 §3.2' },
  'bad-host': { reason: 'malformed-request', source: 'RFC 9110 §7.2' },
  'bad-connection': { reason: 'malformed-request', source: 'RFC 9110 §7.6.1' },
  'bad-pseudo-header': { reason: 'malformed-request', source: 'RFC 9113 §8.3' },
  'connection-specific-field': { reason: 'ambiguous-framing', source: 'RFC 9113 §8.2.2' },
  'unknown-expectation': { reason: 'unsupported-expectation', source: 'RFC 9110 §10.1.1' },
  // framing
  'both-lengths': { reason: 'ambiguous-framing', source: 'RFC 9112 §6.1' },
  'duplicate-length': { reason: 'ambiguous-framing', source: 'RFC 9112 §6.3' },
  'bad-length': { reason: 'ambiguous-framing', source: 'RFC 9110 §8.6' },
  'duplicate-transfer-encoding': { reason: 'ambiguous-framing', source: 'RFC 9112 §6.1' },
  'bad-transfer-encoding': { reason: 'ambiguous-framing', source: 'RFC 9112 §6.1' },
  'unsupported-transfer-encoding': { reason: 'unsupported-coding', source: 'RFC 9112 §6.1' },
  'transfer-encoding-1.0': { reason: 'ambiguous-framing', source: 'RFC 9112 §6.1' },
  'body-not-allowed': { reason: 'upstream-malformed', source: 'RFC 9110 §6.4.1' },
  // body
  'bad-chunk-size': { reason: 'ambiguous-framing', source: 'RFC 9112 §7.1' },
  'bad-chunk-extension': { reason: 'ambiguous-framing', source: 'RFC 9112 §7.1.1' },
  'chunk-line-too-long': { reason: 'ambiguous-framing', source: 'RFC 9112 §7.1.1' },
  'bad-chunk-end': { reason: 'ambiguous-framing', source: 'RFC 9112 §7.1' },
  'trailers-too-large': { reason: 'headers-too-large', source: 'RFC 9112 §7.1.2' },
  'forbidden-trailer': { reason: 'malformed-request', source: 'RFC 9110 §6.5.1' },
  'body-cut-short': { reason: 'malformed-request', source: 'RFC 9112 §8' },
  // what our own side may not write
  unencodable: { reason: 'internal-error', source: 'RFC 9110 §5.5' },
} as const satisfies Readonly<Record<string, FaultFacts>>;

/** Why a message is refused. Stable: records and proofs hold these words. */
export type HttpFault = keyof typeof HTTP_FAULTS;

/** A fault in a body, or in what our own side wants to write. `code` is the fault; its reason is in `HTTP_FAULTS`. */
export class HttpError extends CodedError<HttpFault> {
  constructor(code: HttpFault, message: string = code.replaceAll('-', ' ')) {
    super(code, message);
  }
}
