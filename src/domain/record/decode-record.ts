import { CodedError } from '#base/error';
import { closed, compileSchema, Type } from '#base/schema';
import { REASONS, type Reason } from '#domain/decision';
import { encodeRecord, RECORD_VERSION } from './encode-record.ts';
import { MAX_ENTRY_BYTES, MAX_UNITS } from './limits.ts';
import type { TransactionRecord } from './record.ts';

export class RecordError extends CodedError<'too-long' | 'not-json' | 'wrong-shape' | 'not-canonical'> {}

export const boundedText = (maxLength: number) => Type.String({ maxLength });
export const wholeCount = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const oneOf = <T extends string>(...names: readonly T[]) => Type.Union(names.map(name => Type.Literal(name)));

export const recordShape = closed({
  v: Type.Literal(RECORD_VERSION),
  timeMs: wholeCount,
  requestId: boundedText(MAX_UNITS.requestId),
  traceId: boundedText(MAX_UNITS.traceId),
  direction: oneOf('edge', 'inbound', 'outbound', 'egress', 'operation'),
  client: closed({
    kind: oneOf('anonymous', 'user', 'application', 'service', 'operator', 'unknown'),
    id: boundedText(MAX_UNITS.id),
    address: boundedText(MAX_UNITS.address),
  }),
  user: boundedText(MAX_UNITS.id),
  caller: boundedText(MAX_UNITS.id),
  callee: boundedText(MAX_UNITS.id),
  host: boundedText(MAX_UNITS.host),
  method: boundedText(MAX_UNITS.method),
  path: boundedText(MAX_UNITS.path),
  rule: boundedText(MAX_UNITS.rule),
  decision: oneOf('allowed', 'refused', 'failed'),
  reason: oneOf<Reason | ''>('', ...(Object.keys(REASONS) as Reason[])),
  detail: boundedText(MAX_UNITS.detail),
  status: wholeCount,
  bytesIn: wholeCount,
  bytesOut: wholeCount,
  durationUs: wholeCount,
});

const recordSchema = compileSchema('record', recordShape);

/**
 * Reads one line that `encodeRecord` wrote.
 *
 * UNTRUSTED: lines come from points, and a point may be in hostile hands. Only the canonical spelling is taken, so that
 * what is hashed, indexed and shown cannot be three different things.
 *
 * @throws {RecordError}
 */
export function decodeRecord(line: string): TransactionRecord {
  if (line.length > MAX_ENTRY_BYTES)
    throw new RecordError('too-long', `record has ${line.length} characters`);
  const { v: _version, ...record } = readShape(recordSchema, line);
  if (encodeRecord(record) !== line)
    throw new RecordError('not-canonical', 'record is not in its canonical form');
  return record;
}

/** @throws {RecordError} `not-json` or `wrong-shape` */
export function readShape<T>(schema: { readonly check: (value: unknown) => T }, line: string): T {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new RecordError('not-json', 'line is not JSON');
  }
  try {
    return schema.check(value);
  } catch (error) {
    throw new RecordError('wrong-shape', error instanceof Error ? error.message : 'wrong shape');
  }
}
