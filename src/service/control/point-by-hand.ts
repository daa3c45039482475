import assert from 'node:assert/strict';
import { connect, type TLSSocket } from 'node:tls';
import { systemClock } from '#base/clock';
import { controlMessageSchema, createKeyRequest, type ControlMessage } from '#service/link';
import type { PointName } from './join-tokens.ts';
import type { Lab } from './lab.ts';

/** What a point shows of itself in a handshake. */
export type Pair = { readonly certificateChainPem: string; readonly privateKeyPem: string };

/** The first words of a point that holds nothing, or what `more` says. */
export function hello(more: object = {}): string {
  const nothing = { appliedVersion: 0, appliedDigest: '', newestVersion: 0, newestDigest: '' };
  return lineOf({ kind: 'hello', protocol: 1, ...nothing, ...more });
}

export const lineOf = (message: object): string => `${JSON.stringify(message)}\n`;

/** A connection to control, over which a test says what it likes. */
export async function dial(lab: Lab, pair?: Pair): Promise<TLSSocket> {
  const { control } = lab;
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect({
    ...control.address,
    ca: [...control.trustAnchors],
    checkServerIdentity: () => undefined,
    ...(pair === undefined ? {} : { cert: pair.certificateChainPem, key: pair.privateKeyPem }),
  });
  socket.on('error', () => {});
  socket.on('data', () => {});
  socket.on('secureConnect', resolve);
  socket.on('close', resolve);
  await promise;
  return socket;
}

/** Says `text`, and gives what was answered until control ended the stream, or until there were `enough` answers. */
export async function converse(
  lab: Lab,
  text: string,
  pair?: Pair,
  enough = Infinity,
): Promise<ControlMessage[]> {
  const socket = await dial(lab, pair);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let heard = '';
  const answers = () =>
    heard
      .split('\n')
      .slice(0, -1)
      .map(line => controlMessageSchema.parse(line));
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString('utf8');
    if (answers().length >= enough) resolve();
  });
  socket.on('close', () => resolve());
  const timer = setTimeout(() => reject(new Error('control did not end the stream')), 5000);
  socket.write(text, 'latin1');
  if (socket.closed) resolve();
  await promise;
  clearTimeout(timer);
  socket.destroy();
  return answers();
}

export async function enrolByHand(lab: Lab, point: PointName): Promise<Pair> {
  const { privateKeyPem, requestPem: request } = await createKeyRequest();
  const { name } = point;
  const token = lab.control.createJoinToken(point);
  const [answer] = await converse(lab, lineOf({ kind: 'enrol', protocol: 1, name, token, request }));
  assert.ok(answer?.kind === 'enrolled');
  assert.ok(answer.notAfterMs > systemClock.nowMs());
  return { certificateChainPem: answer.certificateChain, privateKeyPem };
}
