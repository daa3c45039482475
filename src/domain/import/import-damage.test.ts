import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { importKubernetes } from './import-manifests.ts';
import { app, HELM_WORDPRESS, importFixture } from './imported-fixture.ts';

test('importKubernetes() goes on after a broken document and says where it is broken', () => {
  const broken = `${app('web')}---\nkind: Deployment\nmetadata: {name: "x\n  bad: [\n---\n{{- if .Values.web }}\nkind: {{ .Values.kind }}\n{{- end }}\n${app('api')}`;
  const { imported, model } = importFixture('kubernetes', broken);
  assert.deepEqual([...model.services.keys()], ['web', 'api']);
  assert.ok(imported.problems.length >= 2);
  const [first] = imported.problems;
  const brokenLine = broken.split('\n').findIndex(line => line.includes('{name: "x')) + 1;
  assert.ok(
    first !== undefined && first.at.line >= brokenLine && first.at.line <= brokenLine + 2,
    JSON.stringify(first),
  );
  assert.ok(imported.problems.some(({ message }) => message.includes('helm template')));
});

test('importKubernetes() gives the same text for the same manifests', () => {
  assert.equal(
    importFixture('kubernetes', HELM_WORDPRESS).text,
    importFixture('kubernetes', HELM_WORDPRESS).text,
  );
});

const ODD = [
  '',
  '\uFEFF',
  '---\n---\n',
  'just text',
  '[1, 2, [3]]',
  'kind: Deployment',
  'kind: Deployment\nmetadata: []',
  'kind: [Service]\nmetadata: {name: {a: b}}',
  'apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: nothing',
  'apiVersion: v1\nkind: List\nitems: &a [*a]',
  'a: &a [*b]\nb: &b [*a]',
  '<<: &x {<<: *x}\nkind: Pod\nmetadata: {name: p}',
  'apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\nspec: {containers: {a: b}}',
  '%YAML 1.2\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: p}\n',
  'apiVersion: v1\nkind: Pod\nmetadata: {name: "__proto__", namespace: "constructor"}\nspec: {containers: [{env: [{name: toString, value: "http://__proto__:80"}]}]}',
];
for (const text of ODD) {
  test(`importKubernetes() survives ${JSON.stringify(text).slice(0, 60)}`, () => {
    importKubernetes([{ path: 'x', name: 'x', text }], { system: undefined, fallbackSystem: '' });
  });
}

test('importKubernetes() never throws, and whatever it writes is a model', () => {
  const pieces = [
    'name',
    'web',
    'api',
    '80',
    'http://api:80',
    '',
    '- ',
    'ports',
    'spec',
    '\n',
    '#',
    '&a',
    '*a',
    '{',
    '}',
    '[',
    ']',
    ':',
    ' ',
    'default',
    '${A}',
    '$(A)',
    '---\n',
    '\u0000',
    '"',
    "'",
    '\uFFFC',
    'é',
    '|',
    '>',
  ];
  const damage = fc.record({
    at: fc.nat(6000),
    length: fc.nat(30),
    text: fc.array(fc.constantFrom(...pieces), { maxLength: 6 }).map(parts => parts.join('')),
  });
  fc.assert(
    fc.property(fc.array(damage, { maxLength: 4 }), damages => {
      let text = HELM_WORDPRESS + app('web', { env: { A: 'blog-mysql', B_HOST: '$(A)' } });
      for (const { at, length, text: piece } of damages)
        text = text.slice(0, at) + piece + text.slice(at + length);
      const imported = importKubernetes([{ path: 'x', name: 'x', text }], {
        system: undefined,
        fallbackSystem: 'shop',
      });
      if (imported.kind === 'imported') importFixture('kubernetes', text);
    }),
    { numRuns: 150 },
  );
});
