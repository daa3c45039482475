const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Reads a moment: how long ago (`90s`, `15m`, `2h`, `7d`), or ISO 8601 as far as it is known (`2026-03-01`,
 * `2026-03-01T08:30`), in local time unless it says otherwise.
 *
 * @returns milliseconds since the epoch; `undefined` when `text` is neither
 */
export function parseMoment(text: string, nowMs: number): number | undefined {
  const [, count, unit = ''] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return Math.max(0, nowMs - Number(count) * (UNIT_MS[unit] ?? 0));
  const iso =
    /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$/;
  if (!iso.test(text)) return undefined;
  // ECMAScript reads a bare date as UTC and a date with time as local: here both are local.
  const timeMs = Date.parse(text.length === 10 ? `${text}T00:00` : text);
  return Number.isNaN(timeMs) || timeMs < 0 ? undefined : timeMs;
}
