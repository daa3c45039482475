import { freePort } from './up-lab.ts';

/** Small systems, all on ports of this test's own. */
export const [edgePort, issuerPort] = await Promise.all([freePort(), freePort()]);

const HEAD = `apiVersion: ringwall.dev/v1
system: tiny
trustDomain: tiny.internal
`;

export const MODEL = `${HEAD}
users:
  issuers:
    - { name: shop, issuer: local, audience: tiny, port: ${issuerPort} }
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /,        methods: [GET], to: front, clients: [anonymous], limits: [1000/s per client] }
      - { path: /cart/**, methods: [GET], to: front, clients: [user], scopes: [cart], limits: [100/s per user] }
services:
  front:
    data: internal
    listen: http 8080
    calls:
      catalog: [GET /products, GET /products/*]
      db: [connect]
  catalog: { data: internal, listen: http 8080 }
  db: { data: confidential, listen: tcp 5432 }
`;

export const CHANGED = `${HEAD}
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /,     methods: [GET], to: front, clients: [anonymous], limits: [1000/s per client] }
      - { path: /mail, methods: [GET], to: mail,  clients: [anonymous], limits: [1000/s per client] }
services:
  front:
    data: internal
    listen: http 8080
    calls:
      catalog: [GET /products]
  catalog: { data: internal, listen: http 8080 }
  mail: { data: internal, listen: http 8080 }
`;

export const RUNS = `${HEAD}
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /, methods: [GET], to: front, clients: [anonymous], limits: [1000/s per client] }
services:
  front:
    data: internal
    listen: http 8080
    run: { command: node service.cjs, env: { GREETING: hello } }
    calls:
      catalog: [GET /products]
  catalog: { data: internal, listen: http 8080, run: node service.cjs }
`;

export const SERVICE = `
const { createServer, get } = require('http');
const uid = process.getuid();
require('fs').writeFileSync(process.env.DATA_DIR + '/uid', String(uid));
createServer((request, response) => {
  const answer = more => response.end(JSON.stringify({ env: process.env, uid, ...more }));
  if (process.env.CATALOG_URL === undefined) return answer({});
  get(process.env.CATALOG_URL + '/products', incoming => {
    let text = '';
    incoming.on('data', chunk => (text += chunk)).on('end', () => answer({ catalog: JSON.parse(text) }));
  });
}).listen(process.env.PORT, process.env.HOST);
`;

export const DEAF = `${HEAD}
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /, methods: [GET], to: deaf, clients: [anonymous], limits: [1000/s per client] }
services:
  deaf:
    data: internal
    listen: http 8080
    run:
      command:
        - node
        - -e
        - >-
          process.on('SIGTERM', () => {});
          require('http').createServer((_, response) => response.end()).listen(process.env.PORT, process.env.HOST);
`;

export const FAILS = `${HEAD}
edge:
  listen: https ${edgePort}
  hosts:
    shop.tiny.test:
      - { path: /, methods: [GET], to: front, clients: [anonymous], limits: [1000/s per client] }
services:
  front:
    data: internal
    listen: http 8080
    run: node -e "throw new Error('no database')"
`;
