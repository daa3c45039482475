import type { Probe, TlsRecipe, TokenRecipe } from '#domain/attack';
import type { Address } from '#domain/bundle';
import type { Grounds } from './grounds.ts';
import { printfFormat, shellWord } from './shell.ts';
import { writeMessage } from './write-message.ts';

type ProbeOf<K extends Probe['kind']> = Extract<Probe, { kind: K }>;
type Request = Extract<ProbeOf<'edge'>['message'], { kind: 'request' }>;
type Places = Pick<Grounds, 'address' | 'inside' | 'caFile'>;

const MAX_CHARS = 8_192;
/** How long an answer is waited for before our side of the connection ends. */
const WAIT_S = 2;
const SLOW_HEAD_EVERY_S = 0.2;
/** Stands for the token in what is written; the shell puts it in. */
const TOKEN = '\u0001token\u0001';
/** What curl would change, or refuse to send, in a URL. */
const NOT_FOR_CURL = /[^\x21-\x7e]|[#\\"<>^`{|}]/;

/**
 * The line for a shell that makes a probe with curl, or openssl where the bytes are not for curl, and nothing of ours
 * but the token, where the probe shows a good one.
 *
 * @param stateOption how `ringwall token` finds the system
 * @returns `undefined` where the probe needs more: forged credentials, certificates of services, many requests
 */
export function commandByHand(probe: Probe, places: Places, stateOption = ''): string | undefined {
  const command = commandOf(probe, places, stateOption);
  return command !== undefined && command.length <= MAX_CHARS ? command : undefined;
}

function commandOf(probe: Probe, places: Places, stateOption: string): string | undefined {
  switch (probe.kind) {
    case 'edge':
      return edgeCommand(probe, places, stateOption);
    case 'plaintext': {
      const from = probe.from === 'host' ? undefined : probe.from.service;
      const inside = from === undefined ? [] : places.inside(from, []);
      if (inside === undefined || probe.message.kind !== 'request') return undefined;
      return plainCommand(inside, probe.message, 'localhost', places.address(probe.to, from));
    }
    case 'outbound': {
      if (probe.message.kind !== 'request') return undefined;
      const { caller, callee, message } = probe;
      const address = places.address({ kind: 'outbound', caller, callee });
      return plainCommand(places.inside(caller, []) ?? [], message, callee, address);
    }
    case 'inbound': {
      const address = places.address({ kind: 'inbound', service: probe.service });
      if (probe.certificate.kind !== 'none' || probe.tls !== undefined || address === undefined)
        return undefined;
      const { bytes } = writeMessage(probe.message, probe.service);
      return pipeToOpenssl(bytes === undefined ? [] : printing(bytes.toString('latin1')), {
        address,
        options: [],
      });
    }
    case 'slow-head': {
      const times = Math.round(probe.forMs / 1000 / SLOW_HEAD_EVERY_S);
      const head = `GET ${probe.path} HTTP/1.1\r\nHost: ${probe.host}\r\nX-Slow: `;
      const trickle = `for i in $(seq ${times}); do printf a; sleep ${SLOW_HEAD_EVERY_S}; done`;
      return toEdge([...printing(head), trickle], probe.host, places);
    }
    case 'burst':
    case 'revocation':
    case 'ledger':
      return undefined;
  }
}

function edgeCommand(
  { host, message, token, tls }: ProbeOf<'edge'>,
  places: Places,
  stateOption: string,
): string | undefined {
  if (message.kind === 'nothing') return toEdge([], host, places, tls);
  if (token.kind === 'forged' || tls !== undefined) return undefined;
  if (message.kind === 'request' && !NOT_FOR_CURL.test(message.path))
    return curlToEdge(message, host, token, places, stateOption);
  const lines = token.kind === 'none' ? [] : [{ name: 'Authorization', value: `Bearer ${TOKEN}` }];
  const { bytes } = writeMessage(message, host, lines);
  const text = bytes?.toString('latin1') ?? '';
  return toEdge(printing(text, token, stateOption), host, places);
}

function curlToEdge(
  message: Request,
  host: string,
  token: Exclude<TokenRecipe, { kind: 'forged' }>,
  places: Places,
  stateOption: string,
): string | undefined {
  const { caFile } = places;
  const gateway = places.address({ kind: 'gateway' });
  if (gateway === undefined || caFile === undefined) return undefined;
  return [
    ...curl(message, host),
    ...(token.kind === 'none' ? [] : [`-H "Authorization: Bearer ${tokenFor(token, stateOption)}"`]),
    `--cacert ${shellWord(caFile)}`,
    `--resolve ${shellWord(`${host}:${gateway.port}:${gateway.host}`)}`,
    shellWord(`https://${host}:${gateway.port}${message.path}`),
  ].join(' ');
}

function plainCommand(
  inside: readonly string[],
  message: Request,
  host: string,
  address: Address | undefined,
): string | undefined {
  if (address === undefined || NOT_FOR_CURL.test(message.path)) return undefined;
  const url = shellWord(`http://${address.host}:${address.port}${message.path}`);
  return [...inside.map(shellWord), ...curl(message, host), url].join(' ');
}

/** Nothing that curl does of its own accord but `User-Agent` and `Accept`. */
function curl({ method, headers, body }: Request, host: string): string[] {
  const needsLength = body !== undefined || method === 'POST' || method === 'PUT' || method === 'PATCH';
  const fields = [`Host: ${host}`, ...headers.map(([name, value]) => `${name}: ${value}`)];
  return [
    'curl -sSig --path-as-is --http1.1 --max-time 10',
    method === 'HEAD' ? '--head' : `-X ${shellWord(method)}`,
    ...fields.map(field => `-H ${shellWord(field)}`),
    ...(needsLength ? [`--data-binary ${shellWord(body ?? '')}`] : []),
    ...(needsLength && body === undefined ? ["-H 'Content-Type:'"] : []),
  ];
}

function toEdge(
  prints: readonly string[],
  host: string,
  places: Places,
  tls: TlsRecipe = {},
): string | undefined {
  const { caFile } = places;
  const gateway = places.address({ kind: 'gateway' });
  if (gateway === undefined || caFile === undefined) return undefined;
  const { serverName = host, maxVersion, ciphers } = tls;
  const version = maxVersion === 'TLSv1' ? '-tls1' : maxVersion === 'TLSv1.1' ? '-tls1_1' : '-tls1_2';
  return pipeToOpenssl(prints, {
    address: gateway,
    options: [
      serverName === '' ? '-noservername' : `-servername ${shellWord(serverName)}`,
      `-CAfile ${shellWord(caFile)}`,
      ...(maxVersion === undefined && ciphers === undefined
        ? []
        : [version, `-cipher ${shellWord(ciphers ?? 'DEFAULT:@SECLEVEL=0')}`]),
    ],
  });
}

function pipeToOpenssl(
  prints: readonly string[],
  { address, options }: { readonly address: Address; readonly options: readonly string[] },
): string {
  const client = `openssl s_client -connect ${shellWord(`${address.host}:${address.port}`)}`;
  if (prints.length === 0) return [client, ...options, '</dev/null'].join(' ');
  const said = [...prints, `sleep ${WAIT_S}`].join('; ');
  return [`{ ${said}; } |`, client, ...options, '-quiet -no_ign_eof -nocommands'].join(' ');
}

/** Commands that print `text`; what is long and all the same is not spelled out. */
function printing(text: string, token: TokenRecipe = { kind: 'none' }, stateOption = ''): string[] {
  return text.split(/(([ -~])\2{99,})/).flatMap((part, at) => {
    // Of each run the split gives what stands before it, the run, and its letter.
    if (at % 3 === 2 || part === '') return [];
    if (at % 3 === 1) return [`head -c ${part.length} /dev/zero | tr '\\0' ${shellWord(part.charAt(0))}`];
    const [before = '', after] = part.split(TOKEN);
    if (after === undefined || token.kind !== 'valid') return [`printf ${shellWord(printfFormat(before))}`];
    const format = `${printfFormat(before)}%s${printfFormat(after)}`;
    return [`printf ${shellWord(format)} "${tokenFor(token, stateOption)}"`];
  });
}

function tokenFor(token: Extract<TokenRecipe, { kind: 'none' | 'valid' }>, stateOption: string): string {
  const scopes = token.kind === 'valid' ? token.scopes : [];
  const scope = scopes.length === 0 ? '' : ` --scope ${scopes.map(shellWord).join(' ')}`;
  return `$(ringwall token${stateOption} --user prover${scope})`;
}
