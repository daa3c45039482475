import { readTracestate } from './tracestate.ts';

/** One hop of a trace. */
export type TraceContext = {
  /** 32 lower-case hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hexadecimal digits, not all zero: the hop that sends. */
  readonly spanId: string;
  /** Bit 0: sampled. Bit 1: the trace id is random. */
  readonly flags: number;
  /** The value of `tracestate`, checked, or empty. */
  readonly state: string;
};

const SAMPLED = 0x01;
const RANDOM = 0x02;

/** `00-<trace-id>-<parent-id>-<flags>` */
const VERSION_00_LENGTH = 55;

/**
 * Reads the trace that a peer claims; `undefined` where `traceparent` is missing or wrong, then start a new one.
 *
 * Versions above 00 are read as far as 00 goes, and continued as 00 (§4.3). A wrong `tracestate` is left out (§3.3).
 */
export function readTrace(
  traceparent: string | undefined,
  tracestate: string | undefined,
): TraceContext | undefined {
  // UNTRUSTED: both
  if (traceparent === undefined || traceparent.length < VERSION_00_LENGTH) return undefined;
  const version = hexByte(traceparent, 0);
  if (version < 0 || version === 0xff) return undefined;
  if (
    traceparent.length > VERSION_00_LENGTH &&
    (version === 0 || traceparent.charAt(VERSION_00_LENGTH) !== '-')
  ) {
    return undefined;
  }
  if (traceparent.charAt(2) !== '-' || traceparent.charAt(35) !== '-' || traceparent.charAt(52) !== '-')
    return undefined;
  const flags = hexByte(traceparent, 53);
  if (flags < 0 || !isId(traceparent, 3, 35) || !isId(traceparent, 36, 52)) return undefined;
  return {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    flags: flags & (version === 0 ? SAMPLED | RANDOM : SAMPLED),
    state: tracestate === undefined ? '' : readTracestate(tracestate),
  };
}

/** The same trace, one hop further. @param random 16 random digits, lower-case hexadecimal */
export function continueTrace(parent: TraceContext, random: string): TraceContext {
  return { traceId: parent.traceId, spanId: idOf(random, 0, 16), flags: parent.flags, state: parent.state };
}

/** A trace of which this hop is the first, sampled. @param random 48 random digits, lower-case hexadecimal */
export function startTrace(random: string): TraceContext {
  return { traceId: idOf(random, 0, 32), spanId: idOf(random, 32, 48), flags: SAMPLED | RANDOM, state: '' };
}

/** The value of `traceparent` in version 00. */
export function formatTraceparent(trace: TraceContext): string {
  return `00-${trace.traceId}-${trace.spanId}-0${trace.flags}`;
}

const ZEROS = '0'.repeat(32);

function idOf(random: string, from: number, to: number): string {
  if (random.length < to)
    throw new RangeError(`a trace needs ${to} random digits, there are ${random.length}`);
  const id = random.slice(from, to);
  // §3.2.2.3, §3.2.2.4: all zero means no id.
  return ZEROS.startsWith(id) ? `${id.slice(1)}1` : id;
}

function isId(text: string, from: number, to: number): boolean {
  let isZero = true;
  for (let index = from; index < to; index++) {
    const digit = hexDigit(text.charCodeAt(index));
    if (digit < 0) return false;
    if (digit > 0) isZero = false;
  }
  return !isZero;
}

function hexByte(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** Lower case only (§3.2). */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
}
