import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  expand,
  knownImage,
  looksLikeAddress,
  plain,
  readDocuments,
  settingsOfFile,
  UNKNOWN,
} from '#domain/manifest';

const read = (text: string) => readDocuments({ path: 'dir/x.yaml', name: 'x.yaml', text });
const nowhere = () => ({ file: 'x', line: 1, column: 1 });

test('readDocuments() gives every part its place in the file, also in later documents and in blocks of text', () => {
  const { documents } = read('a: 1\n---\n# comment\nb:\n  c: |\n    first\n    host: orders-db\n');
  const block = documents[1]?.at('b', 'c');
  assert.deepEqual(block?.at('none').place(), { file: 'x.yaml', line: 5, column: 6 });
  assert.deepEqual(block?.locate('orders-db', 0, 1), { file: 'x.yaml', line: 7, column: 11 });
  assert.deepEqual(block?.locate('orders-db', 0), { file: 'x.yaml', line: 7, column: 11 });
});

test('readDocuments() follows anchors and merge keys, own keys first', () => {
  const { documents } = read('base: &b { x: 1, y: 1 }\nuse:\n  <<: [*b, { z: 1 }]\n  y: 2\n');
  const use = documents[0]?.at('use');
  assert.deepEqual([...(use?.entries() ?? [])].map(([key, part]) => `${key}${part.text()}`).sort(), [
    'x1',
    'y2',
    'z1',
  ]);
});

test('readDocuments() tells a broken document by its line and keeps the others', () => {
  const { documents, problems } = read('a: 1\n---\nb: "open\n---\nc: 3\n');
  assert.deepEqual(
    documents.map(document => [...document.entries().keys()]),
    [['a'], ['c']],
  );
  assert.equal(problems.length, 1);
  assert.equal(problems[0]?.at.file, 'dir/x.yaml');
  assert.ok([3, 4].includes(problems[0].at.line));
});

test('readDocuments() reports a duplicate key and reads the document', () => {
  const { documents, problems } = read('a: 1\na: 2\n');
  assert.equal(documents.length, 1);
  assert.equal(problems.length, 1);
});

test('readDocuments() never throws, whatever the text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), text => {
      for (const document of read(text).documents) {
        document.at('a', 'b').items();
        document.entries();
        document.place();
      }
    }),
  );
});

const EXPANSIONS: readonly (readonly [string, string, 'kubernetes' | 'all'])[] = [
  ['http://$(A):80', 'http://one:80', 'kubernetes'],
  ['$$(A)', '$(A)', 'kubernetes'],
  ['${A}', '${A}', 'kubernetes'],
  ['${A}/$A', 'one/one', 'all'],
  ['${NONE:-two}', 'two', 'all'],
  ['${NONE:two}', 'two', 'all'],
  ['${NONE}', UNKNOWN, 'all'],
  ['${NONE:?must be set}', UNKNOWN, 'all'],
  ['$(B)', 'one', 'kubernetes'],
  ['$(NONE)', UNKNOWN, 'kubernetes'],
  ['$NONE', UNKNOWN, 'all'],
];
for (const [text, expected, syntax] of EXPANSIONS) {
  test(`expand() makes ${JSON.stringify(expected)} of ${text} (${syntax})`, () => {
    const variables = new Map([
      ['A', 'one'],
      ['B', '$(A)'],
    ]);
    assert.equal(
      expand(text, name => variables.get(name), syntax),
      expected,
    );
  });
}

test('expand() ends for variables that hold themselves, and stays small for those that double', () => {
  assert.equal(
    expand('$(A)', () => '$(A)', 'kubernetes'),
    UNKNOWN,
  );
  assert.ok(expand('$(A)', () => '$(A)'.repeat(50), 'kubernetes').length <= 512 * 1024);
});

test('settingsOfFile() reads properties, YAML, JSON, XML and nginx, and no comments', () => {
  const text =
    '# a=b\nhost = one\n  url: "two"\n<addr>three</addr>\nproxy_pass http://four;\nbrokers:\n  - five:9092\n';
  assert.deepEqual(
    settingsOfFile('f', text, nowhere).map(({ name, value }) => `${name} ${value}`),
    ['host one', 'url two', 'addr three', 'proxy_pass http://four', 'brokers five:9092'],
  );
  assert.deepEqual(
    settingsOfFile('f', '{"a":{"host":"x"},"b":["y",5]}', nowhere).map(
      ({ name, value }) => `${name} ${value}`,
    ),
    ['a.host x', 'b y', 'b 5'],
  );
});

test('knownImage() knows software by its image, and what is only about it not', () => {
  for (const image of [
    'postgres:16',
    'docker.io/bitnami/postgresql@sha256:0a',
    'registry:5000/x/redis-stack:7',
    'confluentinc/cp-kafka',
  ]) {
    assert.notEqual(knownImage(image), undefined, image);
  }
  for (const image of [
    'redis-exporter',
    'mongo-express',
    'kafka-ui:1',
    'example/mypostgres',
    '',
    '__proto__',
    'constructor:1',
  ]) {
    assert.equal(knownImage(image), undefined, image);
  }
});

test('looksLikeAddress() goes by the words of the name', () => {
  for (const name of [
    'DB_HOST',
    'dbHost',
    'spring.datasource.url',
    'KAFKA_BROKERS',
    'CART_SERVICE',
    'UPSTREAM2',
  ]) {
    assert.equal(looksLikeAddress(name, 'x'), true, name);
  }
  for (const name of [
    'DB_NAME',
    'DB_HOST_PORT',
    'DD_SERVICE',
    'SERVICE_NAME',
    'ADVERTISED_HOST',
    'GHOST',
    '',
  ]) {
    assert.equal(looksLikeAddress(name, 'x'), false, name);
  }
});

test('plain() keeps a comment on its line', () => {
  assert.equal(plain('a\nb\u0000c\u2028d\u0085e'), 'a b c d e');
  assert.equal(plain('x'.repeat(500)).length, 161);
});
