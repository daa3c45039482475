import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse as parseYaml } from 'yaml';
import { modelJsonSchema, parseModel, PROBLEM_CODES, referenceMarkdown } from './index.ts';
import { Problems } from './problem.ts';
import { readShape } from './read-shape.ts';
import { object, type Field, type Shape } from './shape.ts';
import { SourceText } from './source-text.ts';
import { MODEL } from './vocabulary.ts';
import { readYaml } from './yaml-source.ts';

const GOOD = `
apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal
users:
  issuers:
    - { name: id, issuer: local, audience: shop, port: 4446, algorithm: ES256 }
    - { name: work, issuer: "https://id.example/realms/a", audience: shop }
edge:
  listen: https 8443
  hosts:
    shop.test:
      - path: /cart/**
        methods: [GET, POST]
        to: web
        clients: [user]
        scopes: [cart]
        limits: [10/m burst 3 per user]
        lockout: 5 failures in 10m per client and account
        account: name
        maxRequest: 64KiB
        maxResponse: 512B
services:
  web:
    data: public
    namespace: front
    listen: http 8080
    image: registry.example:5000/web@sha256:0123
    run: node 'my web.js'
    record: durable
    calls: { api: [GET /a/*, POST /b], db: [connect] }
    egress: [https://bank.example, "http://[::1]:1"]
  api: { data: internal, listen: grpc 1, run: { command: [node, a], directory: b, env: { N: 1, T: true, S: x } } }
  db: { data: internal, listen: tcp 1 }
`;
const WITH_HTTP_API = GOOD.replace('grpc 1', 'http 1');

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
const validate = ajv.compile(modelJsonSchema());
const parse = (text: string) => parseModel({ file: 'm', text, directory: '/' });

describe('modelJsonSchema()', () => {
  test('accepts a model with every key', () => {
    assert.equal(parse(WITH_HTTP_API).kind, 'model', JSON.stringify(parse(WITH_HTTP_API)));
    assert.ok(validate(parseYaml(WITH_HTTP_API)), JSON.stringify(validate.errors));
  });

  for (const [name, from, to] of [
    ['an unknown key', 'system: shop', 'system: shop\nsevices: {}'],
    ['a missing key', 'trustDomain: shop.internal', ''],
    ['another version', 'ringwall.dev/v1', 'ringwall.dev/v2'],
    ['an upper-case name', 'system: shop', 'system: Shop'],
    ['a number for a text', 'system: shop', 'system: 42'],
    ['a text for a list', '[GET, POST]', 'GET'],
    ['an empty list', '[GET, POST]', '[]'],
    ['an entry twice', '[GET, POST]', '[GET, GET]'],
    ['an unknown method', '[GET, POST]', '[GET, PUSH]'],
    ['an unknown classification', 'data: public', 'data: secret'],
    ['a limit without per', '10/m burst 3 per user', '10/m'],
    ['a size without unit', '64KiB', '65536'],
    ['a call without path', 'GET /a/*', 'GET'],
    ['a port out of range', 'port: 4446', 'port: 70000'],
    ['a host with port', 'shop.test:', 'shop.test:80:'],
    ['a null', 'image: registry.example:5000/web@sha256:0123', 'image:'],
    ['an origin with path', 'https://bank.example', 'https://bank.example/a'],
    ['a variable that is none', 'N: 1', 'a-b: 1'],
  ] as const) {
    test(`refuses ${name}, as parseModel() does`, () => {
      const text = WITH_HTTP_API.replace(from, to);
      assert.notEqual(text, WITH_HTTP_API);
      assert.equal(parse(text).kind, 'invalid');
      assert.equal(validate(parseYaml(text)), false);
    });
  }

  test('accepts the example', async () => {
    const text = await readFile(new URL('../../../examples/boutique/ringwall.yaml', import.meta.url), 'utf8');
    assert.equal(parse(text).kind, 'model');
    assert.ok(validate(parseYaml(text)), JSON.stringify(validate.errors));
  });

  test('stands in docs/reference as it is', async () => {
    const file = await readFile(
      new URL('../../../docs/reference/ringwall.schema.json', import.meta.url),
      'utf8',
    );
    assert.deepEqual(
      JSON.parse(file),
      JSON.parse(JSON.stringify(modelJsonSchema())),
      'run node scripts/reference.ts',
    );
  });
});

describe('referenceMarkdown()', () => {
  const fields: [string, Field<Shape>][] = [];
  const collect = (shape: Shape): void => {
    if (shape.kind === 'list') collect(shape.of);
    else if (shape.kind === 'map') collect(shape.value);
    else if (shape.kind === 'either') shape.of.forEach(collect);
    else if (shape.kind === 'object') {
      for (const [key, field] of Object.entries(shape.fields)) {
        fields.push([key, field]);
        collect(field.shape);
      }
    }
  };
  collect(MODEL);

  for (const [key, field] of fields) {
    test(`gives an example of ${key} that is read`, () => {
      const problems = new Problems(new SourceText('m', `${key}: ${field.example}\n`));
      const root = readYaml(problems);
      assert.ok(root !== undefined);
      const shape: Shape = object('an example', { [key]: field });
      readShape(root, shape, problems, { start: 0, end: 1 });
      assert.deepEqual(problems.errors(), []);
      assert.match(field.meaning, /^[A-Z].*\.$/s);
      assert.equal(field.required, field.default === undefined);
    });
  }

  test('names every key and every problem', () => {
    const text = referenceMarkdown();
    for (const [key] of fields) assert.ok(text.includes(`**\`${key}\`**`), key);
    for (const code of Object.keys(PROBLEM_CODES)) assert.ok(text.includes(`| \`${code}\` |`), code);
  });

  test('stands in docs/reference as it is', async () => {
    const file = await readFile(new URL('../../../docs/reference/model.md', import.meta.url), 'utf8');
    assert.equal(file, referenceMarkdown(), 'run node scripts/reference.ts');
  });
});
