import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * The services without Ringwall: whoever asks plays the gateway and says in the headers who is signed in. Between the
 * services stand taps, as agents would, that note what passes.
 */
export const SERVICES = [
  'frontend',
  'catalog',
  'cart',
  'accounts',
  'checkout',
  'payment',
  'shipping',
  'mail',
] as const;
export type Name = (typeof SERVICES)[number];
export type Ask = {
  readonly user?: string;
  readonly json?: unknown;
  readonly raw?: string;
  readonly headers?: Record<string, string>;
};
export type Seen = { readonly service: string; readonly requestId: unknown; readonly traceparent: unknown };

export const here = new URL('.', import.meta.url).pathname;
const CLIENT = { id: 'accounts', secret: 's3cret/with:signs' };

/** What the test lets go wrong. */
export const faults = { shipments: false, issuer: false };
export const seen: Seen[] = [];
const urls = new Map<string, string>();
const processes = new Map<string, ChildProcess>();
const servers: Server[] = [];
let directory = '';

export async function openShop(): Promise<void> {
  directory = await mkdtemp(join(tmpdir(), 'boutique-'));
  urls.set('issuer', await listen(createServer(answerAsIssuer)));
  // Callees first: each is told where its callees listen.
  for (const name of [
    'catalog',
    'payment',
    'shipping',
    'mail',
    'accounts',
    'cart',
    'checkout',
    'frontend',
  ] as const) {
    urls.set(name, await tap(name, await start(name)));
  }
}

export async function closeShop(): Promise<void> {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  await Promise.all(SERVICES.map(name => stop(name)));
  await rm(directory, { recursive: true });
}

/** The path of a service's file of data. */
export function dataFile(name: string): string {
  return join(directory, name);
}

async function start(name: Name): Promise<string> {
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: directory,
    RINGWALL_ISSUER_CLIENT_ID: CLIENT.id,
    RINGWALL_ISSUER_CLIENT_SECRET: CLIENT.secret,
    RINGWALL_ISSUER_URL: urls.get('issuer') ?? '',
  };
  for (const [callee, url] of urls) env[`${callee.toUpperCase()}_URL`] = url;
  const child = spawn(process.execPath, [`services/${name}.ts`], {
    cwd: here,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  processes.set(name, child);
  const port = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', chunk => {
      output += String(chunk);
      const found = /listens on port (\d+)/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.on('exit', code => reject(new Error(`${name} ended with ${code}`)));
  });
  return `http://127.0.0.1:${port}`;
}

export function stop(name: string): Promise<number | null> {
  const child = processes.get(name);
  processes.delete(name);
  if (child === undefined) return Promise.resolve(null);
  return new Promise(resolve => {
    child.on('exit', code => resolve(code));
    child.kill('SIGTERM');
  });
}

/** Stands before a service and notes what passes, as an agent does. */
async function tap(service: string, target: string): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    seen.push({
      service,
      requestId: incoming.headers['x-request-id'],
      traceparent: incoming.headers['traceparent'],
    });
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      if (faults.shipments && incoming.url === '/shipments') {
        outgoing.writeHead(503).end();
        return;
      }
      const { host: _host, connection: _connection, ...headers } = incoming.headers;
      void fetch(`${target}${incoming.url}`, {
        method: incoming.method ?? 'GET',
        headers: headers as Record<string, string>,
        body: chunks.length === 0 ? null : Buffer.concat(chunks),
      }).then(async answer => {
        outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
        outgoing.end(Buffer.from(await answer.arrayBuffer()));
      });
    });
  });
  return await listen(server);
}

function listen(server: Server): Promise<string> {
  servers.push(server);
  return new Promise(resolve => {
    server.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
  });
}

function answerAsIssuer(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const reply = (status: number, body: object) => {
    outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (incoming.url === '/.well-known/openid-configuration') {
    reply(200, { token_endpoint: 'http://127.0.0.1:4445/token' });
    return;
  }
  let text = '';
  incoming.on('data', chunk => (text += String(chunk)));
  incoming.on('end', () => {
    const form = new URLSearchParams(text);
    const credentials = [CLIENT.id, CLIENT.secret].map(part => encodeURIComponent(part)).join(':');
    const isRight =
      !faults.issuer &&
      incoming.url === '/token' &&
      incoming.headers.authorization === `Basic ${Buffer.from(credentials).toString('base64')}` &&
      form.get('grant_type') === 'urn:ringwall:params:oauth:grant-type:local-user' &&
      form.get('scope') === 'cart orders';
    if (isRight)
      reply(200, { access_token: `token-of-${form.get('username')}`, token_type: 'Bearer', expires_in: 600 });
    else reply(401, { error: 'invalid_client' });
  });
}

export async function ask(
  service: Name,
  method: string,
  path: string,
  { user, json, raw, headers = {} }: Ask = {},
) {
  const answer = await fetch(`${urls.get(service)}${path}`, {
    method,
    headers: {
      ...(json === undefined && raw === undefined ? {} : { 'content-type': 'application/json' }),
      ...(user === undefined ? {} : { 'x-ringwall-user': user }),
      ...headers,
    },
    body: raw ?? (json === undefined ? null : JSON.stringify(json)),
  });
  const text = await answer.text();
  const type = answer.headers.get('content-type') ?? '';
  const body = (/json/.test(type) && text !== '' ? JSON.parse(text) : {}) as Record<string, unknown>;
  return {
    status: answer.status,
    type,
    text,
    body,
    policy: answer.headers.get('content-security-policy') ?? '',
  };
}

export function rows(service: Name, sql: string): unknown[] {
  const store = new DatabaseSync(join(directory, `${service}.sqlite`), { readOnly: true });
  try {
    return store
      .prepare(sql)
      .all()
      .map(row => ({ ...row }));
  } finally {
    store.close();
  }
}
