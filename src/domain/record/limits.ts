/**
 * The longest text of each field, in UTF-16 units. Escaped in the worst way all together stay below 64 KiB, the most
 * that an entry bundle can hold of one entry.
 */
export const MAX_UNITS = {
  requestId: 64,
  traceId: 32,
  id: 512,
  address: 64,
  host: 255,
  method: 32,
  path: 256,
  rule: 512,
  detail: 256,
  point: 64,
  epoch: 32,
} as const;

export const MAX_ENTRY_BYTES = 65_535;
