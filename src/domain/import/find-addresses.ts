import { UNKNOWN } from '#domain/manifest';

/** A place in a text where a host seems to be named. */
export type Address = {
  /**
   * `url`: `http://host`, also inside `jdbc:`; `in-cluster`: `….svc`; `keyed`: `host=…` of a connection string or `-h …`;
   * `host-port`: `host:80`; `pair`: `host 80`; `word`: a host is all that the value (or an element of its list) says.
   */
  readonly form: 'url' | 'in-cluster' | 'keyed' | 'host-port' | 'pair' | 'word';
  readonly scheme: string | undefined;
  /** Lower case. May hold `UNKNOWN`. */
  readonly host: string;
  readonly port: number | undefined;
  /** As it stands in the text, and which of its occurrences it is: for its position. */
  readonly token: string;
  readonly occurrence: number;
};

const MAX_LIST = 64;
const HOST = `[A-Za-z0-9_${UNKNOWN}](?:[A-Za-z0-9_.${UNKNOWN}-]{0,252}[A-Za-z0-9_${UNKNOWN}])?`;

/** Schemes whose authority is no network host. */
const LOCAL_SCHEMES = new Set([
  'file',
  'unix',
  'classpath',
  's3',
  'gs',
  'data',
  'jar',
  'ldapi',
  'docker',
  'image',
  'oci',
  'spiffe',
  'urn',
]);
/** Resolver schemes of gRPC: the target is the path. */
const RESOLVER_SCHEMES = new Set(['dns', 'xds', 'passthrough', 'discovery']);

const URL_TEXT =
  /([a-z][a-z0-9+.-]{0,30}):\/\/((?:(?!,[a-z][a-z0-9+.-]{0,30}:\/\/)[^\s"'`<>\\|{}[\]();^]){0,2048})/gi;
const KEYED = new RegExp(
  `(?:\\b(?:host|hostname|server|addr|address|data source|endpoint)\\s?=\\s?(?:tcp:)?|(?:^|\\s)(?:-h|-H|--host|--hostname|--server)[ =])(${HOST})(?:[:,](\\d{1,5}))?`,
  'gi',
);
const TOKEN = new RegExp(`${HOST}(?::(\\d{1,5})(?![\\w.]))?`, 'g');
const PAIR = new RegExp(`(${HOST})[ \\t]{1,4}(\\d{2,5})(?![\\w.:])`, 'g');
const WHOLE_HOST = new RegExp(`^(${HOST})(?::(\\d{1,5}))?$`);

/** Finds every host that `text` seems to name, in linear time. UNTRUSTED: the text is a manifest's. */
export function findAddresses(text: string): readonly Address[] {
  const found: Address[] = [];
  const spent: [number, number][] = [];
  const counts = new Map<string, number>();
  const add = (form: Address['form'], scheme: string | undefined, host: string, port: number | undefined) => {
    const token = port === undefined ? host : `${host}:${port}`;
    const occurrence = counts.get(token) ?? 0;
    counts.set(token, occurrence + 1);
    found.push({ form, scheme, host: host.toLowerCase().replace(/\.+$/, ''), port, token: host, occurrence });
  };

  for (const match of text.matchAll(URL_TEXT)) {
    const scheme = (match[1] ?? '').toLowerCase();
    spent.push([match.index, match.index + match[0].length]);
    if (LOCAL_SCHEMES.has(scheme)) continue;
    for (const [host, port] of hostsOfUrl(scheme, match[2] ?? '')) add('url', scheme, host, port);
  }
  const rest = blank(text, spent);
  const keyed: [number, number][] = [];
  for (const match of rest.matchAll(KEYED)) {
    const host = match[1] ?? '';
    keyed.push([match.index, match.index + match[0].length]);
    add('keyed', undefined, host, portOf(match[2]));
  }
  const free = blank(rest, keyed);
  const words = wholeWords(rest);
  for (const match of free.matchAll(TOKEN)) {
    const port = portOf(match[1]);
    const host = port === undefined ? match[0] : match[0].slice(0, match[0].lastIndexOf(':'));
    if (!standsAlone(free, match.index, match.index + match[0].length)) continue;
    if (/\.svc(?:\.|$)/i.test(host)) add('in-cluster', undefined, host, port);
    else if (port !== undefined) add('host-port', undefined, host, port);
  }
  for (const match of free.matchAll(PAIR)) add('pair', undefined, match[1] ?? '', portOf(match[2]));
  for (const word of words) add('word', undefined, word, undefined);
  return found;
}

function hostsOfUrl(scheme: string, body: string): [string, number | undefined][] {
  const afterScheme = RESOLVER_SCHEMES.has(scheme) ? body.replace(/^[^/]*\/+/, '') : body;
  const authority = /^[^/?#]*/.exec(afterScheme)?.[0] ?? '';
  const hosts = authority.slice(authority.lastIndexOf('@') + 1);
  const found: [string, number | undefined][] = [];
  for (const host of hosts.split(',').slice(0, MAX_LIST)) {
    const match = WHOLE_HOST.exec(host);
    if (match?.[1] !== undefined) found.push([match[1], portOf(match[2])]);
    // `http://host:${PORT}` with an untold port
    else if (host.endsWith(`:${UNKNOWN}`) && WHOLE_HOST.test(host.slice(0, -2)))
      found.push([host.slice(0, -2), undefined]);
  }
  return found;
}

/** The elements of a value that is a host or a list of hosts, and nothing else; those with a port are found as such. */
function wholeWords(text: string): string[] {
  if (text.length > 4096) return [];
  const elements = text
    .replace(/^\s*\[|\]\s*$/g, '')
    .split(/[,;\s]+/)
    .map(element => element.replace(/^["']|["']$/g, ''))
    .filter(element => element !== '');
  if (elements.length === 0 || elements.length > MAX_LIST) return [];
  const matches = elements.map(element => WHOLE_HOST.exec(element));
  if (matches.some(match => match === null)) return [];
  return matches.flatMap(match => (match?.[1] !== undefined && match[2] === undefined ? [match[1]] : []));
}

/** `redis:6379` in `/data/redis:6379`, `x.redis:6379`, `root:3306@db` or `$redis:6379` is no host. */
function standsAlone(text: string, start: number, end: number): boolean {
  const before = text[start - 1] ?? ' ';
  if (before === '/') return text[start - 2] === '/';
  return !/[\w.$\\%-]/.test(before) && text[end] !== '@';
}

function blank(text: string, ranges: readonly (readonly [number, number])[]): string {
  let result = '';
  let from = 0;
  for (const [start, end] of ranges) {
    result += `${text.slice(from, start)}${' '.repeat(Math.max(0, end - start))}`;
    from = end;
  }
  return result + text.slice(from);
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  return Number.isInteger(port) && port > 0 && port <= 65_535 ? port : undefined;
}
