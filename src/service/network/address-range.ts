/** A block of 65,536 IPv4 addresses, named by its first two bytes. */
export type AddressRange = { readonly first: number; readonly second: number };

/** A link takes four addresses: network, host's end, service's end, broadcast. */
export const LINKS_PER_RANGE = 65_536 / 4;

// RFC 1918, then RFC 2544 §C.2.2 for machines whose routes cover all of 10/8 and 172.16/12.
const CANDIDATES: readonly AddressRange[] = [
  ...Array.from({ length: 256 }, (_, second) => ({ first: 10, second })),
  ...Array.from({ length: 16 }, (_, offset) => ({ first: 172, second: 16 + offset })),
  { first: 198, second: 18 },
  { first: 198, second: 19 },
];

/**
 * The ranges that no route of the machine touches, in the order in which to try them.
 *
 * @param routes destinations as `ip route` writes them: `default`, `10.1.2.3`, `10.0.0.0/8`
 * @param seed moves the start, so that systems that start together do not all try the same range first
 */
export function freeRanges(routes: readonly string[], seed: number): AddressRange[] {
  const taken = routes.map(parseRoute).filter(route => route !== undefined);
  const start = seed % CANDIDATES.length;
  return [...CANDIDATES.slice(start), ...CANDIDATES.slice(0, start)].filter(
    range => !taken.some(route => overlaps(range, route)),
  );
}

export function formatRange({ first, second }: AddressRange): string {
  return `${first}.${second}.0.0/16`;
}

/** The two ends of link `index` of a range; both are in a /30. */
export function linkAddresses(
  { first, second }: AddressRange,
  index: number,
): { host: string; service: string } {
  if (index < 0 || index >= LINKS_PER_RANGE) throw new RangeError(`no link ${index}`);
  const base = `${first}.${second}.${index >> 6}`;
  const offset = (index & 63) * 4;
  return { host: `${base}.${offset + 1}`, service: `${base}.${offset + 2}` };
}

type Block = { readonly address: number; readonly bits: number };

function parseRoute(text: string): Block | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = match.slice(1, 5).map(Number);
  return {
    address: ((a << 24) | (b << 16) | (c << 8) | d) >>> 0,
    bits: match[5] === undefined ? 32 : Number(match[5]),
  };
}

function overlaps({ first, second }: AddressRange, route: Block): boolean {
  // The default route covers everything and clashes with nothing.
  if (route.bits === 0) return false;
  const bits = Math.min(route.bits, 16);
  const mask = (0xffffffff << (32 - bits)) >>> 0;
  const range = ((first << 24) | (second << 16)) >>> 0;
  return (range & mask) >>> 0 === (route.address & mask) >>> 0;
}
