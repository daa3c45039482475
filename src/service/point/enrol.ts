import type { Clock } from '#base/clock';
import {
  controlMessageSchema,
  createKeyRequest,
  decodeBundleKey,
  LineChannel,
  PROTOCOL,
  type ControlMessage,
} from '#service/link';
import { checkCertificate } from './check-certificate.ts';
import { connectControl, trustDomainOf } from './connect-control.ts';
import type { PointConfig } from './point-config.ts';
import { PointError } from './point-error.ts';
import type { SvidKeyPair } from './point-host.ts';

/** What an enrolment gives a point, beside its certificate. */
export type Enrolment = {
  readonly kind: 'gateway' | 'agent';
  readonly trustDomain: string;
  /** SPIFFE ID. */
  readonly identity: string;
  /** Control's Ed25519 key for bundles, pinned from now on. */
  readonly bundleKey: string;
  readonly pair: SvidKeyPair;
};

const MAX_ANSWER_BYTES = 128 * 1024;
const TIMEOUT_MS = 10_000;
const TOKENS = 'a join token is good once and for two minutes';

/**
 * Spends the join token on an identity.
 *
 * @throws {PointError} `enrolment-refused` when trying again is of no use
 */
export async function enrol(config: PointConfig, clock: Clock): Promise<Enrolment> {
  const { privateKeyPem, requestPem } = await createKeyRequest();
  const answer = await exchange(config, requestPem);
  if (answer.kind === 'enrolment-refused')
    throw new PointError(
      'enrolment-refused',
      `control refuses: ${answer.message}; ${TOKENS}; start the point by \`ringwall up\`, which gives it a new one each time`,
    );
  if (answer.kind !== 'enrolled')
    throw new PointError('out-of-order', 'control answered an enrolment with something else');
  const { bundleKey, certificateChain, identity, pointKind: kind, trustDomain } = answer;
  if (trustDomain !== trustDomainOf(config) || decodeBundleKey(bundleKey) === undefined) {
    throw new PointError(
      'enrolment-refused',
      'control is of another trust domain, or its key for bundles is none',
    );
  }
  const pair = checkCertificate({
    certificateChainPem: certificateChain,
    privateKeyPem,
    trustAnchors: config.trustAnchors,
    name: { kind: 'identity', identity },
  });
  if (pair.notAfterMs <= clock.nowMs()) {
    throw new PointError(
      'bad-certificate',
      'the certificate that control gave is past its time already: the clock of this machine is ahead of that of control',
    );
  }
  return { kind, trustDomain, identity, bundleKey, pair };
}

async function exchange(config: PointConfig, request: string): Promise<ControlMessage> {
  const socket = await connectControl(config, undefined);
  const { promise, resolve, reject } = Promise.withResolvers<ControlMessage>();
  const channel = new LineChannel(socket, {
    maxLineBytes: MAX_ANSWER_BYTES,
    maxQueuedBytes: MAX_ANSWER_BYTES,
    onLine: line => resolve(controlMessageSchema.parse(line)),
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new PointError('unreachable', 'control ended the enrolment')));
  const timer = setTimeout(
    () => reject(new PointError('unreachable', 'control does not answer the enrolment')),
    TIMEOUT_MS,
  );
  channel.send({ kind: 'enrol', protocol: PROTOCOL, name: config.name, token: config.joinToken, request });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
