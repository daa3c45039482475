import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { after, test } from 'node:test';
import { standInProgram, type StandInCall, type StandInConfig, type StandInService } from '#service/stand-in';
import { Troupe } from './troupe.ts';

const complaints: string[] = [];
const troupe = new Troupe(message => complaints.push(message));
const servers: { close(): unknown }[] = [];
after(() => {
  troupe.close();
  for (const server of servers) server.close();
});

test('a stand-in answers every path and says who it was told is calling', async () => {
  const service = await alone({ name: 'cart', calls: [] });
  const { status, body } = await ask(service, 'POST', '/any/where?x=1', {
    'x-ringwall-caller': 'spiffe://b.internal/ns/default/sa/front',
    'x-ringwall-user': 'ada',
  });
  assert.equal(status, 200);
  assert.deepEqual(body, {
    service: 'cart',
    method: 'POST',
    path: '/any/where?x=1',
    caller: 'spiffe://b.internal/ns/default/sa/front',
    user: 'ada',
    calls: [],
  });
});

test('a stand-in answers HEAD without a body', async () => {
  const service = await alone({ name: 'cart', calls: [] });
  const { status, body } = await ask(service, 'HEAD', '/');
  assert.equal(status, 200);
  assert.equal(body, undefined);
});

test('a stand-in of a sign-in knows one wrong password, so that lockouts can be rehearsed', async () => {
  const { host, port } = await alone({ name: 'accounts', calls: [] });
  const signIn = async (body: string, type = 'application/json') => {
    const headers = { 'content-type': type };
    const answer = await fetch(`http://${host}:${port}/login`, {
      method: 'POST',
      headers,
      body,
    });
    return answer.status;
  };
  assert.equal(await signIn('{"name":"ada","password":"wrong"}'), 401);
  assert.equal(await signIn('{"name":"ada","password":"right"}'), 200);
  assert.equal(await signIn('{"name":"ada"}'), 200);
  assert.equal(await signIn('"password":"wrong"', 'text/plain'), 200);
  assert.equal(await signIn(`{"name":"${'a'.repeat(70_000)}","password":"wrong"}`), 200);
});

test('a stand-in makes each of its calls once, and hands on what identifies the request', async () => {
  const seen: IncomingMessage[] = [];
  const callee = createServer((incoming, response) => {
    seen.push(incoming);
    response.writeHead(incoming.url === '/b' ? 403 : 200).end();
  });
  const port = await listening(callee);
  const service = await alone({
    name: 'front',
    calls: [call(port, 'GET', '/a'), call(port, 'POST', '/b'), call(1, 'GET', '/c')],
  });
  const { body } = await ask(service, 'GET', '/', {
    'x-request-id': 'r-1',
    traceparent: 't-1',
    cookie: 'secret',
    authorization: 'x',
  });
  assert.deepEqual(body?.calls, [
    { callee: 'callee', call: 'GET /a', status: 200 },
    { callee: 'callee', call: 'POST /b', status: 403 },
    { callee: 'callee', call: 'GET /c', status: 'failed' },
  ]);
  assert.deepEqual(seen.map(({ method, url }) => `${method} ${url}`).sort(), ['GET /a', 'POST /b']);
  for (const { headers } of seen) {
    assert.equal(headers['x-request-id'], 'r-1');
    assert.equal(headers['traceparent'], 't-1');
    assert.equal(headers['stand-in-depth'], '1');
    assert.equal(headers.cookie, undefined);
    assert.equal(headers.authorization, undefined);
  }
});

test('a cycle of stand-ins that call each other ends', async () => {
  const [a, b] = [await freePort(), await freePort()];
  await troupe.play({
    services: [http('a', a, [call(b, 'GET', '/b')]), http('b', b, [call(a, 'GET', '/a')])],
  });
  let requests = 0;
  const counted = createServer((_, response) => {
    requests += 1;
    response.end();
  });
  const port = await listening(counted);
  await troupe.play({
    services: [
      http('a', a, [call(b, 'GET', '/b'), call(port, 'GET', '/')]),
      http('b', b, [call(a, 'GET', '/a'), call(port, 'GET', '/')]),
    ],
  });
  const { status } = await ask({ host: '127.0.0.1', port: a }, 'GET', '/');
  assert.equal(status, 200);
  // At depth 0, 1 and (one call only: the cycle's) 2.
  assert.equal(requests, 2);
});

for (const depth of ['9', '10', '-1', 'x', '1, 1', '']) {
  test(`a stand-in makes no calls for the depth ${JSON.stringify(depth)} that somebody sent`, async () => {
    const service = await alone({ name: 'front', calls: [call(1, 'GET', '/a')] });
    const { body } = await ask(service, 'GET', '/', { 'stand-in-depth': depth });
    assert.deepEqual(body?.calls, []);
  });
}

test('a flood makes no more than 64 calls at a time', async () => {
  let inFlight = 0;
  let most = 0;
  const slow = createTcpServer(socket => {
    most = Math.max(most, (inFlight += 1));
    socket
      .on('error', () => {})
      .on('close', () => (inFlight -= 1))
      .resume();
    setTimeout(() => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'), 50);
  });
  const ports = await Promise.all(Array.from({ length: 12 }, () => 0).map(async () => freePort()));
  const port = await listening(slow);
  const service = await alone({
    name: 'front',
    calls: [
      ...Array.from({ length: 12 }, () => call(port, 'GET', '/')),
      ...ports.map(other => call(other, 'GET', '/')),
    ],
  });
  const answers = await Promise.all(Array.from({ length: 20 }, async () => ask(service, 'GET', '/')));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.ok(answers.some(({ body }) => body?.calls.some(({ status }) => status === 'skipped')));
  assert.ok(most <= 64);
});

test('a TCP stand-in echoes, and connect calls go through', async () => {
  const [echo, front] = [await freePort(), await freePort()];
  const connectCall: StandInCall = {
    callee: 'db',
    address: { host: '127.0.0.1', port: echo },
    request: { kind: 'connect' },
  };
  await troupe.play({
    services: [
      { name: 'db', protocol: 'tcp', listen: { host: '127.0.0.1', port: echo }, calls: [] },
      http('front', front, [connectCall]),
    ],
  });
  const { body } = await ask({ host: '127.0.0.1', port: front }, 'GET', '/');
  assert.deepEqual(body?.calls, [{ callee: 'db', call: 'connect', status: 'connected' }]);
});

test('play() ends services that are gone and keeps connections of those that stay', async () => {
  const [stays, goes] = [await freePort(), await freePort()];
  await troupe.play({ services: [http('stays', stays, []), http('goes', goes, [])] });
  const open = connect({ host: '127.0.0.1', port: stays });
  await once(open, 'connect');
  await troupe.play({ services: [http('stays', stays, [call(1, 'GET', '/new')])] });
  open.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.match(String((await once(open, 'data'))[0]), /GET \/new|200 OK/);
  open.destroy();
  await assert.rejects(ask({ host: '127.0.0.1', port: goes }, 'GET', '/'));
});

test('play() says which service cannot listen, and plays the others', async () => {
  const taken = createServer();
  const port = await listening(taken);
  const other = await freePort();
  await troupe.play({ services: [http('late', port, []), http('other', other, [])] });
  assert.match(complaints.at(-1) ?? '', /^late: .*EADDRINUSE/);
  assert.equal((await ask({ host: '127.0.0.1', port: other }, 'GET', '/')).status, 200);
});

test('the stand-in process is small, takes new configurations and ends with its input', async () => {
  const port = await freePort();
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', standInProgram()], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const send = (config: StandInConfig) => child.stdin.write(`${JSON.stringify(config)}\n`);
  send({ services: [] });
  send({ services: [http('front', port, [])] });
  for (let tries = 0; tries < 100; tries += 1) {
    const answered = await ask({ host: '127.0.0.1', port }, 'GET', '/').then(
      () => true,
      () => false,
    );
    if (answered) break;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  assert.equal((await ask({ host: '127.0.0.1', port }, 'GET', '/')).body?.service, 'front');
  child.stdin.end();
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 0);
});

type Answer = { status: number; body: { service: string; calls: { status: unknown }[] } | undefined };
type Target = { readonly host: string; readonly port: number };

async function ask(
  target: Target,
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const outgoing = request({ ...target, method, path, headers, agent: false }).end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const text = (await response.toArray()).map(String).join('');
  return {
    status: response.statusCode ?? 0,
    body: text === '' ? undefined : (JSON.parse(text) as Answer['body']),
  };
}

async function alone({ name, calls }: Pick<StandInService, 'name' | 'calls'>): Promise<Target> {
  const port = await freePort();
  await troupe.play({ services: [http(name, port, calls)] });
  return { host: '127.0.0.1', port };
}

function http(name: string, port: number, calls: readonly StandInCall[]): StandInService {
  return { name, protocol: 'http', listen: { host: '127.0.0.1', port }, calls };
}

function call(port: number, method: string, path: string): StandInCall {
  return { callee: 'callee', address: { host: '127.0.0.1', port }, request: { kind: 'http', method, path } };
}

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  const port = await listening(server);
  server.close();
  await once(server, 'close');
  return port;
}
