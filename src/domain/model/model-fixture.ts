import { parseModel, type Problem } from './index.ts';

/** A small valid model in parts, so that a test writes only the part that it is about. */
export const HEAD = 'apiVersion: ringwall.dev/v1\nsystem: shop\ntrustDomain: shop.internal\n';
const USERS = 'users:\n  issuers:\n    - { name: id, issuer: local, audience: shop }\n';
export const ROUTE = '{ path: /, methods: [GET], to: web, clients: [anonymous] }';
export const EDGE = `edge:\n  hosts:\n    shop.test:\n      - ${ROUTE}\n`;
export const SERVICES = `services:
  web: { data: internal, listen: http 8080, calls: { api: [GET /items], db: [connect], rpc: [POST /a.B/*] } }
  api: { data: internal, listen: http 8080 }
  db: { data: internal, listen: tcp 5432 }
  rpc: { data: internal, listen: grpc 9090 }
`;

export type Parts = { head?: string; users?: string; edge?: string; services?: string };
export const model = ({ head = HEAD, users = USERS, edge = EDGE, services = SERVICES }: Parts = {}): string =>
  head + users + edge + services;
export const withRoute = (text: string): string => model({ edge: `${EDGE}      - ${text}\n` });
export const withService = (text: string): string =>
  model({ services: `${SERVICES}  other:\n    ${text.split('\n').join('\n    ')}\n` });
export const withCalls = (text: string): string =>
  withService(`data: internal\nlisten: http 80\ncalls: ${text}`);
export const withEgress = (text: string): string =>
  withService(`data: internal\nlisten: http 80\negress: ${text}`);
export const withRun = (text: string): string => withService(`data: internal\nlisten: http 80\nrun: ${text}`);
export const withIssuer = (text: string): string => model({ users: `${USERS}    - ${text}\n` });

export const parse = (text: string) => parseModel({ file: 'ringwall.yaml', text, directory: '/srv/shop' });
export const problemsOf = (text: string): readonly Problem[] => {
  const parsed = parse(text);
  return parsed.kind === 'invalid' ? parsed.problems : [];
};
/** A route that is good but for `keys`. */
export const onRoute = (keys: string): string =>
  withRoute(`{ path: /x, methods: [GET], to: web, clients: [anonymous], ${keys} }`);
