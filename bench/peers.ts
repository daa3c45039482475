import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A proxy under measurement, or what stands behind it. */
export type Peer = {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  readonly stop: () => Promise<void>;
};

export type Materials = {
  readonly directory: string;
  /** Files: certificates, keys, roots, the issuer's public key. */
  readonly edgeChain: string;
  readonly edgeKey: string;
  readonly callerChain: string;
  readonly callerKey: string;
  readonly backendChain: string;
  readonly backendKey: string;
  readonly roots: string;
  readonly issuerKeyPem: string;
  /** SubjectPublicKeyInfo, base64. */
  readonly issuerSpki: string;
  readonly issuer: string;
  readonly audience: string;
};

/** The CPU of the proxies, and that of the load and the backend. */
export const PROXY_CPU = 0;
export const LOAD_CPU = 1;

const ANSWER = '{"id":42,"name":"a small answer","price":1299,"currency":"EUR","stock":7}';

/** An nginx that asks for a certificate and answers with a little JSON. */
export async function startBackend(materials: Materials): Promise<Peer> {
  const port = await freePort();
  const http = `
    server {
      listen 127.0.0.1:${port} ssl reuseport;
      ssl_certificate ${materials.backendChain};
      ssl_certificate_key ${materials.backendKey};
      ssl_client_certificate ${materials.roots};
      ssl_verify_client on;
      ssl_verify_depth 3;
      ssl_protocols TLSv1.3;
      location / { default_type application/json; return 200 '${ANSWER}'; }
    }`;
  return startNginx({ name: 'backend', materials, port, http, cpu: LOAD_CPU, modules: '' });
}

/** TLS in, mTLS out, nothing else. */
export async function startBareNginx(materials: Materials, backendPort: number): Promise<Peer> {
  const port = await freePort();
  const http = `${nginxUpstream(backendPort)}
    server {
      ${nginxEdge(materials, port)}
      location / { ${nginxPass(materials)} }
    }`;
  return startNginx({ name: 'nginx bare', materials, port, http, cpu: PROXY_CPU, modules: '' });
}

/** The same, with each request's token verified in njs. */
export async function startNjsNginx(materials: Materials, backendPort: number): Promise<Peer> {
  const port = await freePort();
  const script = join(materials.directory, 'jwt.js');
  await writeFile(script, njsScript(materials));
  const http = `
    js_path ${materials.directory};
    js_import jwt from jwt.js;
    ${nginxUpstream(backendPort)}
    server {
      ${nginxEdge(materials, port)}
      location = /_jwt { internal; js_content jwt.check; }
      location / { auth_request /_jwt; ${nginxPass(materials)} }
    }`;
  const modules = 'load_module /usr/lib/nginx/modules/ngx_http_js_module.so;';
  return startNginx({ name: 'nginx + njs JWT', materials, port, http, cpu: PROXY_CPU, modules });
}

/** HAProxy with `jwt_verify` and checks of issuer, audience and expiry. */
export async function startHaproxy(materials: Materials, backendPort: number): Promise<Peer> {
  const port = await freePort();
  const bundle = join(materials.directory, 'haproxy-edge.pem');
  const caller = join(materials.directory, 'haproxy-caller.pem');
  await writeFile(
    bundle,
    (await readFile(materials.edgeChain, 'utf8')) + (await readFile(materials.edgeKey, 'utf8')),
  );
  await writeFile(
    caller,
    (await readFile(materials.callerChain, 'utf8')) + (await readFile(materials.callerKey, 'utf8')),
  );
  const configuration = `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend edge
  bind 127.0.0.1:${port} ssl crt ${bundle} alpn http/1.1
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify("ES256","${materials.issuerKeyPem}") -m int 1 }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.iss') -m str "${materials.issuer}" }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.aud') -m str "${materials.audience}" }
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
  default_backend service
backend service
  http-reuse always
  server one 127.0.0.1:${backendPort} ssl crt ${caller} ca-file ${materials.roots} verify required alpn http/1.1
`;
  const file = join(materials.directory, 'haproxy.cfg');
  await writeFile(file, configuration);
  return startProcess('HAProxy + jwt_verify', port, pinned(PROXY_CPU, ['haproxy', '-f', file, '-db']));
}

/** @param input written to its standard input */
export async function startProcess(
  name: string,
  port: number,
  command: readonly string[],
  input = '',
): Promise<Peer> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'] });
  child.stdin.end(input);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2_000);
  });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${said}`);
    return answers(port);
  }, name);
  return { name, port, pid: child.pid ?? 0, stop: () => stopChild(child) };
}

export function pinned(cpu: number, command: readonly string[]): readonly string[] {
  return ['taskset', '-c', String(cpu), ...command];
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
  await ended;
  clearTimeout(timer);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>(resolve => server.close(() => resolve()));
  return port;
}

async function startNginx(options: {
  readonly name: string;
  readonly materials: Materials;
  readonly port: number;
  readonly http: string;
  readonly cpu: number;
  readonly modules: string;
}): Promise<Peer> {
  const { name, port, materials } = options;
  const home = join(materials.directory, `nginx-${port}`);
  await mkdir(home);
  const file = join(home, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(kind => `${kind}_temp_path ${join(home, kind)};`)
    .join('\n');
  await writeFile(
    file,
    `${options.modules}
daemon off;
master_process off;
worker_processes 1;
pid ${join(home, 'pid')};
error_log ${join(home, 'error.log')} crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; ${temporary} ${options.http} }
`,
  );
  return startProcess(name, port, pinned(options.cpu, ['nginx', '-c', file, '-p', home]));
}

function nginxUpstream(backendPort: number): string {
  return `upstream service { server 127.0.0.1:${backendPort}; keepalive 256; keepalive_requests 100000000; }`;
}

function nginxEdge(materials: Materials, port: number): string {
  return `listen 127.0.0.1:${port} ssl reuseport;
      server_name shop.test;
      ssl_certificate ${materials.edgeChain};
      ssl_certificate_key ${materials.edgeKey};`;
}

function nginxPass(materials: Materials): string {
  return `proxy_pass https://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_ssl_certificate ${materials.callerChain};
      proxy_ssl_certificate_key ${materials.callerKey};
      proxy_ssl_protocols TLSv1.3;`;
}

function njsScript(materials: Materials): string {
  return `
let key;
async function check(r) {
  try {
    const token = (r.headersIn.Authorization || '').replace(/^Bearer /, '');
    const parts = token.split('.');
    const header = JSON.parse(Buffer.from(parts[0], 'base64url').toString());
    if (header.alg !== 'ES256') return r.return(401);
    if (!key) {
      const raw = Buffer.from('${materials.issuerSpki}', 'base64');
      key = await crypto.subtle.importKey('spki', raw, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
    }
    const ok = await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, Buffer.from(parts[2], 'base64url'), Buffer.from(parts[0] + '.' + parts[1]));
    if (!ok) return r.return(401);
    const claims = JSON.parse(Buffer.from(parts[1], 'base64url').toString());
    if (claims.iss !== ${JSON.stringify(materials.issuer)} || claims.aud !== ${JSON.stringify(materials.audience)}) return r.return(401);
    if (claims.exp * 1000 < Date.now()) return r.return(401);
    r.return(204);
  } catch (e) {
    r.return(401);
  }
}
export default { check };
`;
}

async function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await holds()) return;
    await sleep(50);
  }
  throw new Error(`${what} did not start within 5 s`);
}
