import assert from 'node:assert/strict';
import {
  BodyDecoder,
  decodeRequestHead,
  decodeResponseHead,
  DEFAULT_LIMITS,
  dropUntrusted,
  encodeChunkHead,
  encodeLastChunk,
  encodeRequestHead,
  encodeResponseHead,
  HttpError,
  type Framing,
  type HeaderList,
} from '#domain/http';

/** What a message says, however it is spelled. */
export type Meaning = {
  readonly start: string;
  readonly fields: readonly string[];
  readonly content: string;
  readonly trailers: readonly string[];
};

export type ReadMessage = { readonly outcome: string; readonly meaning?: Meaning; readonly bytes: number };

/** How the bytes are cut: the end of each piece, rising. The last piece ends with the bytes. */
export type Cuts = readonly number[];

/** The codec under test; the tests of this file put broken ones here. */
export type RequestCodec = {
  readonly decode: typeof decodeRequestHead;
  readonly encode: typeof encodeRequestHead;
};

const REAL: RequestCodec = { decode: decodeRequestHead, encode: encodeRequestHead };

/** Reads the request at the start of `raw`, head and body, as it would come in pieces. Never throws. */
export function readRequest(raw: Buffer, cuts: Cuts = [], codec: RequestCodec = REAL): ReadMessage {
  for (const end of [...cuts, raw.length]) {
    const decoded = codec.decode(raw, 0, end, DEFAULT_LIMITS);
    if (decoded.kind === 'incomplete') continue;
    if (decoded.kind === 'refused') return { outcome: decoded.fault, bytes: 0 };
    const { head, consumed } = decoded;
    const start = `${head.method} ${head.target} ${head.authority} ${head.expectContinue}`;
    return readBody(raw, consumed, cuts, start, head.headers, head.framing);
  }
  return { outcome: 'incomplete', bytes: 0 };
}

/** As above, for the response to a GET. */
export function readResponse(raw: Buffer, cuts: Cuts = []): ReadMessage {
  for (const end of [...cuts, raw.length]) {
    const decoded = decodeResponseHead(raw, 0, end, DEFAULT_LIMITS, 'GET');
    if (decoded.kind === 'incomplete') continue;
    if (decoded.kind === 'refused') return { outcome: decoded.fault, bytes: 0 };
    const { head, consumed } = decoded;
    return readBody(raw, consumed, cuts, `${head.status} ${head.keepAlive}`, head.headers, head.framing);
  }
  return { outcome: 'incomplete', bytes: 0 };
}

function readBody(
  raw: Buffer,
  from: number,
  cuts: Cuts,
  start: string,
  headers: HeaderList,
  framing: Framing,
): ReadMessage {
  const decoder = new BodyDecoder(framing, DEFAULT_LIMITS);
  let content = '';
  let at = from;
  try {
    for (const end of [...cuts.filter(cut => cut > from), raw.length]) {
      at += decoder.decode(raw, at, end, { data: chunk => (content += chunk.toString('latin1')) });
      if (decoder.ended) break;
    }
    if (framing.kind === 'until-close') decoder.finish();
  } catch (error) {
    if (error instanceof HttpError) return { outcome: error.code, bytes: 0 };
    throw error;
  }
  if (!decoder.ended) return { outcome: 'incomplete', bytes: 0 };
  const trailers = decoder.trailers === undefined ? [] : lines(decoder.trailers);
  return { outcome: 'read', meaning: { start, fields: lines(headers), content, trailers }, bytes: at };
}

/** All fields but those that the encoder writes by itself. */
function lines(headers: HeaderList): string[] {
  return [...headers.entries()]
    .filter(([name]) => !WRITTEN_BY_ENCODER.has(name))
    .map(([name, value]) => `${name}: ${value}`);
}

const WRITTEN_BY_ENCODER: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'te',
  'http2-settings',
  'proxy-authorization',
  'proxy-connection',
  'upgrade',
]);

/**
 * Checks on any bytes what must hold for all: no exception, the same verdict in pieces, and, where the bytes are taken
 * for a request, that our re-encoding is read as the same request and no byte more.
 */
export function checkRequest(raw: Buffer, cuts: Cuts, codec: RequestCodec = REAL): ReadMessage {
  const read = readRequest(raw, [], codec);
  assert.deepEqual(readRequest(raw, cuts, codec), read, 'pieces change the verdict');
  const decoded = codec.decode(raw, 0, raw.length, DEFAULT_LIMITS);
  if (decoded.kind !== 'head') return read;

  const { head } = decoded;
  const encoded = Buffer.from(codec.encode(head), 'latin1');
  const again = codec.decode(encoded, 0, encoded.length, DEFAULT_LIMITS);
  assert.ok(again.kind === 'head', `our own encoding is refused: ${JSON.stringify(again)}`);
  assert.equal(again.consumed, encoded.length, 'our own encoding holds a second message');
  const isEmptyPost = head.framing.kind === 'none' && ['POST', 'PUT', 'PATCH'].includes(head.method);
  assert.deepEqual(again.head.framing, isEmptyPost ? { kind: 'length', bytes: 0 } : head.framing);
  for (const part of ['method', 'target', 'rawPath', 'rawQuery', 'authority', 'host'] as const) {
    assert.equal(again.head[part], head[part], part);
  }
  assert.deepEqual(lines(again.head.headers), lines(head.headers));

  dropUntrusted(head.headers);
  for (const [name] of head.headers.entries()) assert.match(name, /^[a-z0-9-]+$/);
  if (read.meaning === undefined) return read;
  const whole = Buffer.from(codec.encode(head) + encodeBody(head.framing, read.meaning), 'latin1');
  const forwarded = readRequest(whole, [], codec);
  assert.equal(forwarded.bytes, whole.length, 'the forwarded request ends elsewhere');
  assert.equal(forwarded.meaning?.content, read.meaning.content);
  return read;
}

/** As above, for responses. */
export function checkResponse(raw: Buffer, cuts: Cuts): ReadMessage {
  const read = readResponse(raw);
  // Until the connection closes every piece belongs to the body; pieces differ only in what is still to come.
  assert.deepEqual(readResponse(raw, cuts), read, 'pieces change the verdict');
  const decoded = decodeResponseHead(raw, 0, raw.length, DEFAULT_LIMITS, 'GET');
  if (decoded.kind !== 'head' || read.meaning === undefined) return read;
  const { head } = decoded;
  const whole = Buffer.from(encodeResponseHead(head) + encodeBody(head.framing, read.meaning), 'latin1');
  const forwarded = readResponse(whole);
  assert.equal(forwarded.bytes, whole.length, 'the forwarded response ends elsewhere');
  assert.deepEqual(forwarded.meaning?.fields, read.meaning.fields);
  assert.equal(forwarded.meaning?.content, read.meaning.content);
  return read;
}

function encodeBody(framing: Framing, { content, trailers }: Meaning): string {
  if (framing.kind !== 'chunked') return content;
  const chunk = content === '' ? '' : `${encodeChunkHead(content.length)}${content}\r\n`;
  return trailers.length === 0
    ? chunk + encodeLastChunk(undefined)
    : `${chunk}0\r\n${trailers.join('\r\n')}\r\n\r\n`;
}
