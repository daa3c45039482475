/**
 * HTTP/1.1 messages on the wire, strictly (RFC 9112, RFC 9110): bytes in, values out, and back. For both sides of a proxy.
 *
 * What two implementations could read in two ways is refused and never repaired. What was decoded is written anew by
 * the encoders and never copied through, and a `HeaderList` cannot hold a byte that would end a line. Not here: sockets,
 * timeouts, paths (`#domain/path`), and which methods or hosts are allowed. UNTRUSTED: every buffer that is decoded.
 */
export { BodyDecoder } from './body-decoder.ts';
export type { BodySink } from './body-decoder.ts';
export { decodeRequestHead } from './decode-request.ts';
export type { DecodedRequest, RequestHead } from './decode-request.ts';
export { decodeResponseHead } from './decode-response.ts';
export type { DecodedResponse, ResponseHead } from './decode-response.ts';
export {
  encodeChunkHead,
  encodeLastChunk,
  encodeRequestHead,
  encodeResponseHead,
  LAST_CHUNK,
} from './encode.ts';
export { HTTP_FAULTS, HttpError } from './fault.ts';
export type { HttpFault } from './fault.ts';
export type { Framing } from './framing.ts';
export { FieldLines, HeaderList } from './header-list.ts';
export { DEFAULT_LIMITS } from './limits.ts';
export type { HttpLimits } from './limits.ts';
export { readHttp2Request, readHttp2Trailers } from './read-http2-request.ts';
export type { ReadHttp2Request } from './read-http2-request.ts';
export { http2Fields } from './write-http2.ts';
export { dropUntrusted, dropUntrustedOfResponse, isReservedName } from './untrusted.ts';
