import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressKey } from '#service/identity';
import { networkOf } from './address.ts';

for (const [address, key, network] of [
  ['192.0.2.7', '192.0.2.7', '192.0.2.0/24'],
  ['::ffff:192.0.2.7', '192.0.2.7', '192.0.2.0/24'],
  ['::FFFF:c000:207', '192.0.2.7', '192.0.2.0/24'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:db8::', '2001:db8:0:0::/64', '2001:db8:0::/48'],
  ['::1', '0:0:0:0::/64', '0:0:0::/48'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64', 'fe80:0:0::/48'],
  ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64', '64:ff9b:0::/48'],
  ['', 'unknown', 'unknown'],
  ['192.0.2.7.8', 'unknown', 'unknown'],
  ['example.test', 'unknown', 'unknown'],
] as const) {
  test(`addressKey() and networkOf() read ${JSON.stringify(address)}`, () => {
    assert.equal(addressKey(address), key);
    assert.equal(networkOf(address), network);
  });
}

test('a host cannot leave its limit by moving within its /64', () => {
  assert.equal(addressKey('2001:db8:1:2:dead:beef::1'), addressKey('2001:db8:1:2::ffff'));
  assert.notEqual(addressKey('2001:db8:1:3::1'), addressKey('2001:db8:1:2::1'));
});
