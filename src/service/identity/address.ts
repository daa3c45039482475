import { isIPv4, isIPv6 } from 'node:net';
import { assertNever } from '#base/error';

/**
 * The unit by which an address is limited: an IPv4 address, or the /64 of an IPv6 address, all of which one host can
 * use. An IPv4 address mapped into IPv6 is the IPv4 address.
 */
export function addressKey(address: string): string {
  const parsed = parseAddress(address);
  switch (parsed.kind) {
    case 'ipv4':
      return parsed.octets.join('.');
    case 'ipv6':
      return `${parsed.groups.slice(0, 4).join(':')}::/64`;
    case 'unknown':
      return 'unknown';
    default:
      return assertNever(parsed);
  }
}

/** The network that an address belongs to: the /24 of an IPv4 address, the /48 of an IPv6 address. */
export function networkOf(address: string): string {
  const parsed = parseAddress(address);
  switch (parsed.kind) {
    case 'ipv4':
      return `${parsed.octets.slice(0, 3).join('.')}.0/24`;
    case 'ipv6':
      return `${parsed.groups.slice(0, 3).join(':')}::/48`;
    case 'unknown':
      return 'unknown';
    default:
      return assertNever(parsed);
  }
}

type Address =
  | { readonly kind: 'ipv4'; readonly octets: readonly string[] }
  | { readonly kind: 'ipv6'; readonly groups: readonly string[] }
  | { readonly kind: 'unknown' };

function parseAddress(address: string): Address {
  if (isIPv4(address)) return { kind: 'ipv4', octets: address.split('.') };
  if (!isIPv6(address)) return { kind: 'unknown' };
  const groups = groupsOf(address);
  // RFC 4291 §2.5.5.2
  if (groups.slice(0, 5).every(group => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6);
    return { kind: 'ipv4', octets: [high >> 8, high & 0xff, low >> 8, low & 0xff].map(String) };
  }
  return { kind: 'ipv6', groups: groups.map(group => group.toString(16)) };
}

/** The eight groups of a text that `isIPv6` accepted. */
function groupsOf(address: string): readonly number[] {
  const withoutZone = address.split('%', 1)[0] ?? '';
  const text = withoutZone.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map(group => group.toString(16)).join(':'),
  );
  const [head = '', tail] = text.split('::');
  const before = numbers(head);
  if (tail === undefined) return before;
  const after = numbers(tail);
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}

function numbers(text: string): number[] {
  return text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16));
}
