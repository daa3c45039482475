import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findAddresses } from './find-addresses.ts';

const FOUND: readonly (readonly [string, readonly string[]])[] = [
  ['http://api:8080/x?y=z', ['url api 8080']],
  ['https://user:p%40ss@API.shop.svc/', ['url api.shop.svc']],
  ['jdbc:postgresql://a:1,b:2/db', ['url a 1', 'url b 2']],
  ['amqp://u:p@one,two:5672/v', ['url one', 'url two 5672']],
  ['http://a:1,https://b:2', ['url a 1', 'url b 2']],
  ['dns:///api.shop:50051', ['url api.shop 50051']],
  ['jdbc:oracle:thin:@//ora:1521/x', ['host-port ora 1521']],
  ['user:pass@tcp(mysql:3306)/db', ['host-port mysql 3306']],
  ['host=db port=5432', ['keyed db']],
  ['api', ['word api']],
  ['one, two', ['word one', 'word two']],
  ['redis:6379', ['host-port redis 6379']],
  ['nc -z mysql 3306', ['pair mysql 3306']],
];
for (const [text, expected] of FOUND) {
  test(`findAddresses() finds ${expected.join(' and ')} in ${text}`, () => {
    const found = findAddresses(text).map(({ form, host, port }) =>
      [form, host, port].filter(part => part !== undefined).join(' '),
    );
    for (const one of expected) assert.ok(found.includes(one), found.join('; '));
  });
}

const NONE = [
  '',
  'file:///etc/hosts',
  's3://bucket/x',
  'redis://:6379',
  '/var/lib/redis:6379',
  'root:3306@',
  '12:30:59',
  'http://[::1]:80/',
];
for (const text of NONE) {
  test(`findAddresses() finds no host with a letter in ${JSON.stringify(text)}`, () => {
    assert.deepEqual(
      findAddresses(text).filter(({ host, form }) => /[a-z]/.test(host) && form !== 'word'),
      [],
    );
  });
}

test('findAddresses() finds a host wherever it stands', () => {
  const label = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}[a-z0-9]$/);
  fc.assert(
    fc.property(
      label,
      fc.integer({ min: 1, max: 65_535 }),
      fc.constantFrom('http', 'grpc', 'redis'),
      (host, port, scheme) => {
        const found = findAddresses(`x ${scheme}://${host}:${port}/y z`);
        assert.ok(
          found.some(address => address.form === 'url' && address.host === host && address.port === port),
        );
      },
    ),
  );
});

// Texts that make a careless expression backtrack: 200,000 characters each.
const HOSTILE = ['a-', 'a.', 'a:1', 'http://', 'host=', '-', 'a ', ',a', 'h://a,', '${'];
for (const unit of HOSTILE) {
  test(`findAddresses() takes linear time for many ${JSON.stringify(unit)}`, () => {
    const text = unit.repeat(200_000 / unit.length);
    const startedAt = performance.now();
    findAddresses(text);
    assert.ok(performance.now() - startedAt < 2000);
  });
}
