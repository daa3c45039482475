import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { importFixture, lineWith } from './imported-fixture.ts';

const folder = new URL('../../../../shared/systems/online-boutique/kubernetes/', import.meta.url);
const skip = existsSync(folder) ? false : 'shared/systems is not here';

function boutique() {
  const names = readdirSync(folder).filter(name => name.endsWith('.yaml'));
  const texts = names.map(name => [name, readFileSync(new URL(name, folder), 'utf8')] as const);
  return importFixture('kubernetes', Object.fromEntries(texts), 'online-boutique');
}

test('importKubernetes() finds exactly the call graph of Online Boutique', { skip }, () => {
  const { graph } = boutique();
  const calls: Record<string, string[]> = {
    cartservice: ['redis-cart'],
    checkoutservice: [
      'cartservice',
      'currencyservice',
      'emailservice',
      'paymentservice',
      'productcatalogservice',
      'shippingservice',
    ],
    frontend: [
      'adservice',
      'cartservice',
      'checkoutservice',
      'currencyservice',
      'productcatalogservice',
      'recommendationservice',
      'shippingservice',
    ],
    loadgenerator: ['frontend'],
    recommendationservice: ['productcatalogservice'],
  };
  assert.deepEqual(
    graph,
    Object.entries(calls).flatMap(([caller, callees]) => callees.map(callee => `${caller} -> ${callee}`)),
  );
});

test('importKubernetes() reads ports, protocols and images of Online Boutique', { skip }, () => {
  const { model } = boutique();
  const listens = [...model.services.values()]
    .map(({ name, protocol, port }) => `${name} ${protocol} ${port}`)
    .sort();
  assert.deepEqual(listens, [
    'adservice grpc 9555',
    'cartservice grpc 7070',
    'checkoutservice grpc 5050',
    'currencyservice grpc 7000',
    'emailservice grpc 8080',
    'frontend http 8080',
    'loadgenerator http 8080',
    'paymentservice grpc 50051',
    'productcatalogservice grpc 3550',
    'recommendationservice grpc 8080',
    'redis-cart tcp 6379',
    'shippingservice grpc 50051',
  ]);
  assert.equal(model.services.get('redis-cart')?.image, 'redis:alpine');
});

test(
  'importKubernetes() says where each line of Online Boutique comes from, and what was not told',
  { skip },
  () => {
    const { text, routes, untold } = boutique();
    assert.match(
      lineWith(text, 'paymentservice: ['),
      /# from env PAYMENT_SERVICE_ADDR, checkoutservice\.yaml:62/,
    );
    assert.match(
      lineWith(text, 'to: frontend'),
      /# from Service frontend-external \(LoadBalancer\), frontend\.yaml:130/,
    );
    assert.deepEqual(routes, ['frontend.online-boutique.test /** -> frontend']);
    assert.equal(untold.filter(message => message.includes('shoppingassistantservice')).length, 1);
    assert.equal(untold.filter(message => message.includes('loadgenerator has no Service')).length, 1);
  },
);
