export type HttpLimits = {
  /** One line of the head, without its CRLF: request line, status line or field line. */
  readonly maxLineBytes: number;
  /** The whole head with its last empty line. */
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  /** Size and extensions of one chunk, without CRLF. */
  readonly maxChunkLineBytes: number;
  /** The trailer section with its last empty line. */
  readonly maxTrailerBytes: number;
};

/** RFC 9112 §3 asks for request lines of at least 8,000 bytes. */
export const DEFAULT_LIMITS: HttpLimits = {
  maxLineBytes: 8_192,
  maxHeadBytes: 32_768,
  maxHeaders: 100,
  maxChunkLineBytes: 256,
  maxTrailerBytes: 4_096,
};
