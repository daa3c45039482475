import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { quote } from '#base/error';
import { IdentityError } from './identity-error.ts';

export type FetchOptions = {
  /** For the whole exchange, connection to last byte. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** Certificates (PEM) to trust instead of the public roots. */
  readonly ca?: string;
  readonly signal?: AbortSignal;
};

/**
 * Reads a small document from an issuer: one GET, no redirect followed, no cookie, no compression, bounded in size and
 * time. HTTPS only; plain HTTP only to a loopback address.
 *
 * @throws {IdentityError} `insecure-url`, `issuer-unreachable`, `issuer-timeout`, `issuer-status`, `issuer-too-large`
 */
export async function fetchText(url: URL, options: FetchOptions): Promise<string> {
  requireSecure(url);
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  try {
    return await readText(await send(url, options, signal), options.maxBytes);
  } catch (error) {
    if (error instanceof IdentityError) throw error;
    if (timeout.aborted) {
      throw new IdentityError(
        'issuer-timeout',
        `${quote(url.href)} did not answer within ${options.timeoutMs} ms`,
      );
    }
    throw new IdentityError('issuer-unreachable', `${quote(url.href)} could not be reached`, {
      cause: error,
    });
  }
}

/** @throws {IdentityError} `insecure-url` */
export function requireSecure(url: URL): void {
  if (url.protocol === 'https:') return;
  if (url.protocol === 'http:' && isLoopback(url.hostname)) return;
  throw new IdentityError(
    'insecure-url',
    `${quote(url.href)} is neither https nor http on a loopback address`,
  );
}

function isLoopback(hostname: string): boolean {
  // The URL parser has already turned 127.1 and 0x7f.0.0.1 into dotted form.
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

async function send(url: URL, options: FetchOptions, signal: AbortSignal): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const common = {
      signal,
      agent: false,
      headers: { accept: 'application/json', 'accept-encoding': 'identity' },
    } as const;
    const request =
      url.protocol === 'https:'
        ? requestHttps(url, {
            ...common,
            minVersion: 'TLSv1.2',
            ...(options.ca === undefined ? {} : { ca: options.ca }),
          })
        : requestHttp(url, common);
    request.once('response', resolve).once('error', reject).end();
  });
  // A redirect is refused like any other status: keys come from where the issuer's metadata say, or not at all.
  if (response.statusCode !== 200) {
    response.destroy();
    throw new IdentityError(
      'issuer-status',
      `${quote(url.href)} answered ${response.statusCode ?? 0}, not 200`,
    );
  }
  return response;
}

async function readText(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      response.destroy();
      throw new IdentityError('issuer-too-large', `the answer is longer than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
