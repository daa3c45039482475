/** What `ringwall init` writes: a small system that passes `ringwall check`, each part explained once. */
export const STARTER_MODEL = `# The model of a system: who may call whom. Nothing is allowed that is not written here.
#
#   ringwall check ringwall.yaml            every problem, with line and hint
#   ringwall up ringwall.yaml --stand-ins   run it, walled; services without \`run:\` are played
#   ringwall prove                          attack it and see what holds
#
# All keys: docs/reference/model.md

apiVersion: ringwall.dev/v1
system: shop
trustDomain: shop.internal # identities are spiffe://shop.internal/ns/<namespace>/sa/<service>

# Who may sign in. \`local\` is the issuer that \`ringwall up\` starts; your own is written as its URL:
#   - { name: company, issuer: https://id.example, audience: shop }
users:
  issuers:
    - { name: shop, issuer: local, audience: shop }

# All that the outside can reach. The most specific path decides; \`*\` is one segment, \`**\` the rest.
edge:
  listen: https 4443
  hosts:
    shop.localhost:
      # anonymous: everybody, each client limited by itself
      - { path: /, methods: [GET], to: frontend, clients: [anonymous], limits: [20/s burst 40 per client] }
      - { path: /products/**, methods: [GET], to: frontend, clients: [anonymous], limits: [20/s burst 40 per client] }
      # guessing of passwords ends after five failures
      - path: /login
        methods: [POST]
        to: accounts
        clients: [anonymous]
        limits: [5/s per client]
        lockout: 5 failures in 10m per client and account
        account: name # the field of the form or JSON body that names the account
        maxRequest: 4KiB
      # user: whoever presents an access token of a declared issuer
      - { path: /orders/**, methods: [GET, POST], to: orders, clients: [user], scopes: [orders], limits: [10/s per user] }

services:
  frontend:
    data: internal # public, internal, confidential or restricted: how strict the defaults are
    listen: http 8080
    # run: node services/frontend.js        # without it, --stand-ins plays the service
    calls:
      catalog: [GET /products, GET /products/*]

  catalog:
    data: public
    listen: http 8080

  accounts:
    data: confidential # from here up, every record is on disk before the caller sees the answer
    listen: http 8080
    egress: [http://127.0.0.1:4445] # the local issuer, to sign users in
    calls:
      database: [connect]

  orders:
    data: confidential
    listen: http 8080
    calls:
      catalog: [GET /products/*]
      payment: [POST /charges]
      database: [connect]

  payment:
    data: restricted
    listen: http 8080
    # egress: [https://bank.example]        # what it may reach outside

  database:
    data: confidential
    listen: tcp 5432 # the one call of a tcp service is \`connect\`
    image: postgres:17
`;
