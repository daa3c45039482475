import assert from 'node:assert/strict';
import { test } from 'node:test';
import { app, importFixture } from './imported-fixture.ts';

test('importKubernetes() reads Ingress: hosts, Prefix, Exact, named backends, regular expressions', () => {
  const ingress = `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: front, annotations: { nginx.ingress.kubernetes.io/rewrite-target: /$2 } }
spec:
  rules:
  - host: Shop.Example.com
    http:
      paths:
      - { path: /api, pathType: Prefix, backend: { service: { name: api, port: { number: 80 } } } }
      - { path: /health, pathType: Exact, backend: { service: { name: api, port: { name: http } } } }
      - { path: "/v2(/|$)(.*)", pathType: ImplementationSpecific, backend: { service: { name: api, port: { number: 80 } } } }
      - { path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }
      - { path: /gone, pathType: Prefix, backend: { service: { name: gone, port: { number: 80 } } } }
  - host: "*.example.org"
    http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] }
`;
  const { routes, untold } = importFixture(
    'kubernetes',
    ingress + app('api') + app('web', { env: { BASE: 'https://shop.example.com/api' } }),
  );
  assert.deepEqual(routes, [
    'shop.example.com /api/** -> api',
    'shop.example.com /health -> api',
    'shop.example.com /v2/** -> api',
    'shop.example.com /** -> web',
  ]);
  for (const expected of [
    /rewrites paths/,
    /leads to Service gone/,
    /\*\.example\.org/,
    /the system's own edge/,
  ]) {
    assert.ok(
      untold.some(message => expected.test(message)),
      String(expected),
    );
  }
});

test('importKubernetes() reads Gateway API: hostnames from the listener, methods, weights, gRPC', () => {
  const gateway = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: main, namespace: infra }
spec: { gatewayClassName: any, listeners: [{ name: https, hostname: api.example.com, port: 443, protocol: HTTPS }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: api }
spec:
  parentRefs: [{ name: main, namespace: infra, sectionName: https }]
  rules:
  - matches: [{ path: { type: PathPrefix, value: /items/ }, method: GET }, { path: { type: Exact, value: /ping } }]
    backendRefs: [{ name: api, port: 80, weight: 9 }, { name: web, port: 80, weight: 1 }]
  - matches: [{ path: { type: RegularExpression, value: "/u/[0-9]+" } }]
    backendRefs: [{ name: web, port: 80 }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: not-ours }
spec: {}
`;
  const { routes, model, untold } = importFixture('kubernetes', gateway + app('api') + app('web'));
  assert.deepEqual(routes, [
    'api.example.com /items/** -> api',
    'api.example.com /ping -> api',
    'api.example.com /u/** -> web',
  ]);
  assert.deepEqual(model.edge.hosts[0]?.routes[0]?.methods, ['GET']);
  assert.ok(untold.some(message => message.includes('splits its traffic over 2 backends')));
  assert.ok(untold.some(message => message.includes('not read: Gateway (networking.istio.io) not-ours')));
});
