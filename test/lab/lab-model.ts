import { parseModel, type Model } from '#domain/model';

/** A model in which every kind of attack finds a target. Limits are small, so that floods are short. */
const TEXT = `
apiVersion: ringwall.dev/v1
system: lab
trustDomain: lab.test
users:
  issuers:
    - { name: lab, issuer: local, audience: lab }
edge:
  hosts:
    shop.test:
      - { path: /,           methods: [GET],        to: web,      clients: [anonymous], limits: [5/s burst 5 per client] }
      - { path: /cart/items, methods: [GET, POST],  to: cart,     clients: [user], scopes: [cart], limits: [5/s burst 5 per user], maxRequest: 4KiB }
      - { path: /orders,     methods: [POST],       to: cart,     clients: [user], scopes: [orders], limits: [5/s burst 5 per user], maxRequest: 4KiB }
      - { path: /login,      methods: [POST],       to: accounts, clients: [anonymous], lockout: 3 failures in 10m per client and account, account: name }
services:
  web:
    data: internal
    listen: http 8080
    calls:
      cart: [GET /carts/*]
  cart:
    data: restricted
    listen: http 8081
    calls:
      db: [connect]
      accounts: [GET /accounts/*, POST /accounts]
  accounts:
    data: confidential
    listen: http 8082
  db:
    data: restricted
    listen: tcp 5432
`;

export const LAB_HOST = 'shop.test';

export function labModel(): Model {
  const parsed = parseModel({ file: 'lab.yaml', text: TEXT, directory: '/' });
  if (parsed.kind !== 'model') throw new TypeError(parsed.problems.map(({ message }) => message).join('; '));
  return parsed.model;
}
