import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { call, expectReply } from '../kit/call.ts';
import { textField } from '../kit/fields.ts';
import { Refusal } from '../kit/refusal.ts';
import { json, runService, type Answer, type Request } from '../kit/service.ts';
import { openStore } from '../kit/store.ts';

/** For trying out the shop; the README tells them. */
const DEMO_ACCOUNTS = [
  { name: 'alice', password: 'wonderland', email: 'alice@example.test' },
  { name: 'bob', password: 'builder', email: 'bob@example.test' },
];
/** 16 MiB and a tenth of a second for each try (OWASP Password Storage Cheat Sheet). */
const COST = { N: 2 ** 14, r: 8, p: 5 };
const KEY_BYTES = 32;
const SCOPES = 'cart orders';
/** Where it is, and the credentials of this service there, are in the environment: `RINGWALL_ISSUER_URL` and two more. */
const ISSUER = 'ringwall-issuer';

const store = openStore(
  'accounts',
  'CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, salt BLOB NOT NULL, hash BLOB NOT NULL, email TEXT NOT NULL) STRICT',
);
const find = store.prepare('SELECT name, salt, hash, email FROM accounts WHERE name = ?');
const insert = store.prepare('INSERT OR IGNORE INTO accounts (name, salt, hash, email) VALUES (?, ?, ?, ?)');
for (const { name, password, email } of DEMO_ACCOUNTS) {
  if (find.get(name) !== undefined) continue;
  const salt = randomBytes(16);
  insert.run(name, salt, await hashPassword(password, salt), email);
}
const NOBODY = { salt: randomBytes(16), hash: randomBytes(KEY_BYTES) };
let tokenPath: string | undefined;

runService({
  name: 'accounts',
  routes: {
    'POST /login': signIn,
    'GET /accounts/:name': ({ params }) => {
      const account = find.get(params['name'] ?? '');
      if (account === undefined) throw new Refusal(404, 'no-such-account', 'there is no such account');
      return json(200, { name: account['name'], email: account['email'] });
    },
  },
  close: () => store.close(),
});

async function signIn(request: Request): Promise<Answer> {
  const fields = await request.json();
  const name = textField(fields, 'name', 60).toLowerCase();
  const password = textField(fields, 'password', 200);
  const account = find.get(name);
  // An unknown name takes as long as a wrong password, and is told the same.
  const { salt, hash } =
    account === undefined ? NOBODY : { salt: bytes(account['salt']), hash: bytes(account['hash']) };
  const isRight = timingSafeEqual(await hashPassword(password, salt), hash);
  if (account === undefined || !isRight)
    throw new Refusal(401, 'wrong-password', 'name or password is wrong');
  const token = await requestToken(name, request);
  return json(200, { name, ...token });
}

/** The issuer signs the token; this service only says for whom. */
async function requestToken(name: string, request: Request): Promise<object> {
  const id = process.env['RINGWALL_ISSUER_CLIENT_ID'] ?? '';
  const secret = process.env['RINGWALL_ISSUER_CLIENT_SECRET'] ?? '';
  if (id === '' || secret === '')
    throw new Error('RINGWALL_ISSUER_CLIENT_ID and RINGWALL_ISSUER_CLIENT_SECRET are not set');
  tokenPath ??= await discoverTokenPath(ISSUER, request);
  const form = {
    grant_type: 'urn:ringwall:params:oauth:grant-type:local-user',
    username: name,
    scope: SCOPES,
  };
  // RFC 6749 §2.3.1: both parts are form-encoded before they are joined
  const credentials = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString(
    'base64',
  );
  const headers = { authorization: `Basic ${credentials}` };
  const reply = await call(ISSUER, { method: 'POST', path: tokenPath, form, headers }, request);
  const { access_token, expires_in } = expectReply(reply, 'the issuer', 200);
  if (typeof access_token !== 'string') throw new Refusal(502, 'bad-answer', 'the issuer gave no token');
  return { access_token, token_type: 'Bearer', expires_in };
}

async function discoverTokenPath(issuer: string, request: Request): Promise<string> {
  const reply = await call(issuer, { method: 'GET', path: '/.well-known/openid-configuration' }, request);
  const { token_endpoint } = expectReply(reply, 'the issuer', 200);
  return new URL(String(token_endpoint)).pathname;
}

function hashPassword(password: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, KEY_BYTES, COST, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

function bytes(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array(KEY_BYTES);
}
