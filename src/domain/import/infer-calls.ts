import { assertNever } from '#base/error';
import {
  type Landscape,
  type NameTarget,
  type Note,
  type NoteKind,
  type Setting,
  UNKNOWN,
  type Unit,
  isNotAboutOthers,
  knownImage,
  looksLikeAddress,
  plain,
  protocolOfPort,
} from '#domain/manifest';
import type { Position } from '#domain/model';
import { findAddresses, type Address } from './find-addresses.ts';

export type FoundCall = {
  readonly to: Unit;
  readonly port: number | undefined;
  readonly scheme: string | undefined;
  readonly from: string;
  readonly at: Position;
};

export type FoundEgress = {
  readonly origin: string;
  readonly from: string;
  readonly at: Position;
  readonly remark: string | undefined;
};

export type Inferred = {
  readonly calls: readonly FoundCall[];
  readonly egress: readonly FoundEgress[];
  readonly notes: readonly Note[];
};

/** Hosts that stand in configuration as names of formats, not as places. */
const FORMAT_HOSTS = new Set(
  `www.w3.org json-schema.org java.sun.com xmlns.jcp.org jakarta.ee www.springframework.org maven.apache.org
  logging.apache.org www.apache.org schemas.microsoft.com xmlns.com kubernetes.io www.hibernate.org`.split(
    /\s+/,
  ),
);
const NO_HOSTS = new Set(
  `true false yes no on off none null nil auto default disabled enabled any all host local self`.split(' '),
);
const FILE_ENDING =
  /\.(?:cfg|class|conf|crt|css|csv|gz|html?|ini|jar|jks|js|json|key|log|md|pem|php|properties|py|sh|sock|sql|svg|tar|tmpl|toml|ts|txt|war|xml|ya?ml|zip)$/;
const WEB_SCHEMES = new Set(['http', 'https', 'ws', 'wss', 'grpc', 'grpcs']);

/** Finds what `unit` calls in everything that configures it, in the order of its settings. */
export function inferCalls(unit: Unit, landscape: Landscape, ownHosts: ReadonlySet<string>): Inferred {
  const inference = new Inference(unit, landscape, ownHosts);
  for (const [index, setting] of unit.settings.entries()) {
    for (const address of findAddresses(setting.value)) inference.judge(setting, index, address);
  }
  return inference.finish();
}

class Inference {
  readonly #unit: Unit;
  readonly #landscape: Landscape;
  readonly #ownHosts: ReadonlySet<string>;
  readonly #calls: FoundCall[] = [];
  readonly #egress: FoundEgress[] = [];
  readonly #notes = new Map<string, Note>();

  constructor(unit: Unit, landscape: Landscape, ownHosts: ReadonlySet<string>) {
    this.#unit = unit;
    this.#landscape = landscape;
    this.#ownHosts = ownHosts;
  }

  judge(setting: Setting, index: number, address: Address): void {
    const { host } = address;
    if (isNotAboutOthers(setting.name) || isOwnMachine(host)) return;
    if (host.includes(UNKNOWN)) {
      if (address.form === 'url' || address.form === 'in-cluster')
        this.#note('unresolved', setting, address, 'names a host that no manifest tells');
      return;
    }
    if (/^\d+(?:\.\d+){3}$/.test(host)) {
      if (address.form !== 'word' || looksLikeAddress(setting.name, host)) {
        this.#note(
          'egress',
          setting,
          address,
          `names the IP address ${host}: whose it is, the manifests do not tell`,
        );
      }
      return;
    }
    if (!/[a-z]/.test(host)) return;
    const target = this.#resolve(host);
    const port = address.port ?? this.#siblingPort(setting, index);
    switch (target.kind) {
      case 'units':
        if (!isEvidence(setting, address, target.units)) return;
        for (const to of target.units) if (to !== this.#unit) this.#add(to, port, setting, address);
        return;
      case 'outside':
        if (isEvidence(setting, address, [])) this.#outside(setting, address, target.host, port, target.from);
        return;
      case 'no-target':
        if (isEvidence(setting, address, []))
          this.#note('names-no-service', setting, address, `names ${host}: ${target.why}`);
        return;
      case 'unknown':
        this.#unknown(setting, address, port, target.inCluster);
        return;
    }
  }

  finish(): Inferred {
    for (const { unit, how, at } of this.#unit.startsAfter) {
      if (this.#calls.some(call => call.to.name === unit)) continue;
      const message = `${plain(this.#unit.name)}: ${how} names ${plain(unit)}, but nothing shows an address of it: no call was written`;
      this.#notes.set(message, { kind: 'order-only', message, at });
    }
    for (const { to } of this.#calls) {
      const [own, others] = [this.#unit.networks, to.networks];
      if (own === undefined || others === undefined || [...own].some(network => others.has(network)))
        continue;
      const message = `${plain(this.#unit.name)} names ${plain(to.name)}, but they share no network`;
      this.#notes.set(message, { kind: 'unresolved', message, at: this.#unit.at });
    }
    return { calls: this.#calls, egress: this.#egress, notes: [...this.#notes.values()] };
  }

  #resolve(host: string): NameTarget | { kind: 'unknown'; inCluster: boolean } {
    const own = this.#unit.ownNames.get(host);
    return this.#landscape.names.resolve(own ?? host, this.#unit);
  }

  #add(to: Unit, port: number | undefined, setting: Setting, address: Address): void {
    const at = setting.locate(address.token, address.occurrence);
    this.#calls.push({ to, port, scheme: address.scheme, from: setting.from, at });
  }

  #unknown(setting: Setting, address: Address, port: number | undefined, inCluster: boolean): void {
    const { host, form } = address;
    const isNamed = looksLikeAddress(setting.name, host);
    if (/^kubernetes(?:\.default(?:\.svc.*)?)?$/.test(host)) {
      if (form === 'url' || form === 'in-cluster')
        this.#note('egress', setting, address, 'calls the Kubernetes API: not in the model');
      return;
    }
    if (inCluster) {
      const isClear =
        form === 'url' ||
        form === 'in-cluster' ||
        ((form === 'host-port' || form === 'word' || form === 'keyed') && isNamed);
      if (!isClear || NO_HOSTS.has(host) || (form === 'word' && setting.form === 'script')) return;
      const what = this.#landscape.kind === 'compose' ? 'service of the file' : 'Service among the manifests';
      const shown = address.port === undefined ? host : `${host}:${address.port}`;
      this.#note('names-no-service', setting, address, `names ${plain(shown)}, which is no ${what}`);
      return;
    }
    if (!isPlausibleDomain(host)) return;
    // Links in texts and dashboards are no destinations.
    if (form === 'url' && setting.isFileLine === true && !isNamed && !isAllOfIt(setting, address)) return;
    if (form === 'url' || (isNamed && (form === 'host-port' || form === 'word' || form === 'keyed'))) {
      this.#outside(setting, address, host, port, undefined);
    }
  }

  #outside(
    setting: Setting,
    address: Address,
    host: string,
    port: number | undefined,
    by: string | undefined,
  ): void {
    if (FORMAT_HOSTS.has(host)) return;
    if (this.#ownHosts.has(host)) {
      this.#note(
        'egress',
        setting,
        address,
        `names ${host}, the system's own edge: neither a call nor egress`,
      );
      return;
    }
    if (host === 'host.docker.internal') {
      this.#note('egress', setting, address, 'names the machine itself (host.docker.internal)');
      return;
    }
    const { scheme } = address;
    const isWeb = scheme === undefined ? isWebPort(port, by !== undefined) : WEB_SCHEMES.has(scheme);
    const origin = originOf(
      host,
      scheme === 'http' && port === 80 ? undefined : port === 80 ? undefined : port,
    );
    if (!isWeb || origin === undefined) {
      const over =
        scheme === undefined ? (port === undefined ? '' : ` at port ${port}`) : ` by ${plain(scheme)}`;
      this.#note(
        'egress',
        setting,
        address,
        `reaches ${plain(host)}${over}, outside: egress carries https only`,
      );
      return;
    }
    const isPlaintext =
      scheme === 'http' || scheme === 'ws' || scheme === 'grpc' || (scheme === undefined && port === 80);
    const remark = isPlaintext
      ? `the manifest says ${scheme ?? 'port 80'}; Ringwall goes out by https only`
      : scheme === undefined && port === undefined
        ? 'guess: https'
        : undefined;
    const from = by === undefined ? setting.from : `${setting.from} through ${by}`;
    this.#egress.push({ origin, from, at: setting.locate(address.token, address.occurrence), remark });
  }

  /** `DB_PORT` beside `DB_HOST`; in a configuration file, the nearest `port`. */
  #siblingPort(setting: Setting, index: number): number | undefined {
    const sibling = setting.name.replace(
      /(?:hostname|host|address|addr|server|service|endpoint|svc)(?=[^a-z]*$)/i,
      word => inStyleOf(word, 'port'),
    );
    if (sibling === setting.name) return undefined;
    let best: { distance: number; port: number } | undefined;
    for (const [other, { name, value }] of this.#unit.settings.entries()) {
      if (name !== sibling || !/^\d{1,5}$/.test(value)) continue;
      const distance = Math.abs(other - index);
      if (best === undefined || distance < best.distance) best = { distance, port: Number(value) };
    }
    return best?.port;
  }

  #note(kind: NoteKind, setting: Setting, address: Address, what: string): void {
    const message = `${plain(this.#unit.name)}: ${setting.from} ${what}`;
    if (this.#notes.has(message)) return;
    this.#notes.set(message, { kind, message, at: setting.locate(address.token, address.occurrence) });
  }
}

/** Whether this really names what it could name. `redis` in `CACHE_TYPE=redis` and `redis:7` in an image do not. */
function isEvidence(setting: Setting, address: Address, units: readonly Unit[]): boolean {
  const isNamed = looksLikeAddress(setting.name, address.host);
  switch (address.form) {
    case 'url':
    case 'in-cluster':
    case 'keyed':
      return true;
    case 'host-port':
      return isNamed || units.some(unit => hasPort(unit, address.port));
    case 'pair':
      return units.some(unit => hasPort(unit, address.port));
    case 'word':
      return setting.form === 'value' && (isNamed || address.host.includes('.'));
    default:
      return assertNever(address.form);
  }
}

/** Whether the value is the URL, and not a text with a URL in it. */
function isAllOfIt({ value }: Setting, { scheme, host }: Address): boolean {
  return (
    value.toLowerCase().startsWith(`${scheme}://`) &&
    !/\s/.test(value.trim()) &&
    value.toLowerCase().includes(host)
  );
}

function hasPort(unit: Unit, port: number | undefined): boolean {
  if (port === undefined) return false;
  if (unit.doors.some(door => door.port === port || door.addressedAt.includes(port))) return true;
  if (unit.images.some(({ text }) => knownImage(text)?.port === port)) return true;
  // Without any told port, a number that could be one must do; versions are mostly below it.
  return unit.doors.length === 0 && (port >= 1024 || protocolOfPort(port) !== undefined);
}

function isOwnMachine(host: string): boolean {
  return /^(?:localhost|ip6-localhost|.*\.localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0)$/.test(host);
}

function isPlausibleDomain(host: string): boolean {
  return /^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z]{2,24}$/.test(host) && !FILE_ENDING.test(host);
}

function isWebPort(port: number | undefined, isExternalName: boolean): boolean {
  if (port === undefined) return isExternalName;
  return port === 443 || port === 8443 || (port === 80 && isExternalName);
}

function originOf(host: string, port: number | undefined): string | undefined {
  const origin = `https://${host}${port === undefined || port === 443 ? '' : `:${port}`}`;
  return URL.canParse(origin) && new URL(origin).origin === origin ? origin : undefined;
}

function inStyleOf(word: string, replacement: string): string {
  if (word === word.toUpperCase()) return replacement.toUpperCase();
  return word[0] === word[0]?.toUpperCase()
    ? `${replacement[0]?.toUpperCase()}${replacement.slice(1)}`
    : replacement;
}
