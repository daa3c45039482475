import {
  type Landscape,
  type Lookup,
  type Names,
  type Note,
  type Part,
  type SourceText,
  UNKNOWN,
  type Unit,
  type Way,
  expand,
  looksLikeAddress,
  plain,
  readDocuments,
} from '#domain/manifest';
import { dotenvLookup, environmentOf } from './compose-environment.ts';
import { composePorts, type ComposePorts } from './compose-ports.ts';
import { composeSettings } from './compose-settings.ts';

type Declared = {
  readonly name: string;
  readonly part: Part;
  readonly ports: ComposePorts;
  readonly lookup: Lookup;
};

const MAX_EXTENDS = 8;

/**
 * Reads Compose files (compose-spec); several are read side by side, not merged.
 * @param dotenv the text of the `.env` file beside them, or empty
 */
export function readCompose(sources: readonly SourceText[], dotenv: string): Landscape {
  const lookup = dotenvLookup(dotenv);
  const reads = sources.map(source => readDocuments(source));
  const documents = reads.flatMap(read => read.documents);
  const notes: Note[] = [];
  const declared = documents.flatMap(document => declaredServices(document, lookup, notes));
  const configs = new Map(documents.flatMap(document => [...document.at('configs').entries()]));
  const units = declared.map(service => unitOf(service, configs, notes));
  const names = new ComposeNames(declared, units);
  const ways = declared.flatMap((service, index) => {
    const unit = units[index];
    return unit === undefined ? [] : waysOf(service, unit, notes);
  });
  return {
    kind: 'compose',
    units,
    names,
    ways,
    notes,
    problems: reads.flatMap(read => read.problems),
    systemName: documents
      .map(document => document.at('name').text())
      .find(name => name !== undefined && !name.includes('$')),
    documents: documents.length,
  };
}

function declaredServices(document: Part, lookup: Lookup, notes: Note[]): readonly Declared[] {
  const kind = document.at('apiVersion');
  if (kind.text()?.startsWith('ringwall.dev/') === true) {
    notes.push({
      kind: 'not-read',
      message: 'this is a Ringwall model, not a Compose file',
      at: kind.place(),
    });
    return [];
  }
  const services = document.at('services').entries();
  const found: Declared[] = [];
  for (const [name, own] of services) {
    const part = extended(own, services, notes, name);
    if (!part.isMap) {
      notes.push({ kind: 'not-read', message: `service ${plain(name)} is empty`, at: own.place() });
      continue;
    }
    found.push({ name, part, ports: composePorts(part, text => expand(text, lookup, 'all')), lookup });
  }
  for (const key of ['include', 'x-include']) {
    const include = document.at(key);
    if (include.present)
      notes.push({ kind: 'not-read', message: `files named by ${key} are not read`, at: include.place() });
  }
  return found;
}

/** `extends` within the file; what another file holds cannot be read from here. */
function extended(own: Part, services: ReadonlyMap<string, Part>, notes: Note[], name: string): Part {
  let part = own;
  let base = own.at('extends');
  for (let depth = 0; base.present && depth < MAX_EXTENDS; depth++) {
    const other = base.text() ?? base.at('service').text() ?? '';
    const file = base.at('file').text();
    const found = file === undefined ? services.get(other) : undefined;
    if (found === undefined) {
      const where =
        file === undefined ? 'which the file does not declare' : `of ${plain(file)}, which is not read`;
      notes.push({
        kind: 'unresolved',
        message: `${plain(name)} extends ${plain(other)} ${where}`,
        at: base.place(),
      });
      break;
    }
    part = part.over(found);
    base = found.at('extends');
  }
  return part;
}

function unitOf(service: Declared, configs: ReadonlyMap<string, Part>, notes: Note[]): Unit {
  const { name, part, ports, lookup } = service;
  const image = part.at('image');
  const imageText = image.text();
  noteUnread(service, notes);
  return {
    name,
    namespace: '',
    namespaceStated: true,
    from: `service ${plain(name)}`,
    at: part.place(),
    images:
      imageText === undefined
        ? []
        : [{ text: expand(imageText, lookup, 'all'), at: image.place(), workload: name }],
    doors: ports.doors,
    settings: composeSettings(part, configs, lookup),
    startsAfter: startsAfter(part),
    ownNames: linkAliases(part),
    networks: networksOf(part),
  };
}

function noteUnread({ name, part, ports: { unread }, lookup }: Declared, notes: Note[]): void {
  const files = part.at('env_file').isList ? part.at('env_file').items() : [part.at('env_file')];
  for (const file of files) {
    const path = file.text() ?? file.at('path').text();
    if (path !== undefined)
      notes.push({
        kind: 'unresolved',
        message: `${plain(name)}: env_file ${plain(path)} is not read`,
        at: file.place(),
      });
  }
  for (const [variable, value] of environmentOf(part, lookup)) {
    const text = value?.text ?? UNKNOWN;
    if (!text.includes(UNKNOWN) || !looksLikeAddress(variable, '')) continue;
    const message = `${plain(name)}: environment ${plain(variable)} comes from outside of the file`;
    notes.push({ kind: 'unresolved', message, at: value?.part.place() ?? part.at('environment').place() });
  }
  const profiles = part
    .at('profiles')
    .items()
    .flatMap(item => item.text() ?? []);
  if (profiles.length > 0) {
    const message = `${plain(name)} runs with profile ${plain(profiles.join(', '))} only; it is in the model all the same`;
    notes.push({ kind: 'not-read', message, at: part.at('profiles').place() });
  }
  const mode = part.at('network_mode');
  if (mode.text() !== undefined && mode.text() !== 'bridge') {
    notes.push({
      kind: 'port',
      message: `${plain(name)}: network_mode ${plain(mode.text() ?? '')}: no network wall can stand around it alone`,
      at: mode.place(),
    });
  }
  for (const { part: port, why } of unread) {
    notes.push({
      kind: 'port',
      message: `${plain(name)}: port ${plain(port.text() ?? '')} ${why}`.replace('  ', ' '),
      at: port.place(),
    });
  }
  if (part.at('external_links').present) {
    notes.push({
      kind: 'names-no-service',
      message: `${plain(name)}: external_links lead out of the file`,
      at: part.at('external_links').place(),
    });
  }
}

function waysOf({ name, ports }: Declared, unit: Unit, notes: Note[]): readonly Way[] {
  return ports.published.flatMap(({ part, target, loopbackOnly }): Way[] => {
    const from = `published port ${target} of ${plain(name)}`;
    if (loopbackOnly) {
      notes.push({
        kind: 'edge',
        message: `${from} is for the machine itself (loopback): no route was written`,
        at: part.place(),
      });
      return [];
    }
    return [
      {
        host: undefined,
        hostStem: undefined,
        path: '/**',
        methods: undefined,
        to: unit,
        toPort: target,
        from,
        at: part.place(),
        remark: undefined,
      },
    ];
  });
}

function startsAfter(part: Part): Unit['startsAfter'] {
  const found: Unit['startsAfter'][number][] = [];
  const dependsOn = part.at('depends_on');
  for (const item of dependsOn.items()) {
    const unit = item.text();
    if (unit !== undefined) found.push({ unit, how: 'depends_on', at: item.place() });
  }
  for (const [unit, value] of dependsOn.entries()) found.push({ unit, how: 'depends_on', at: value.place() });
  for (const item of part.at('links').items()) {
    const unit = item.text()?.split(':')[0];
    if (unit !== undefined) found.push({ unit, how: 'links', at: item.place() });
  }
  return found.filter(({ unit }, index) => found.findIndex(other => other.unit === unit) === index);
}

function linkAliases(part: Part): ReadonlyMap<string, string> {
  return new Map(
    part
      .at('links')
      .items()
      .flatMap(item => {
        const [service, alias] = (item.text() ?? '').split(':');
        return service === undefined || alias === undefined ? [] : [[alias.toLowerCase(), service] as const];
      }),
  );
}

function networksOf(part: Part): ReadonlySet<string> {
  const networks = part.at('networks');
  const names = [...networks.items().flatMap(item => item.text() ?? []), ...networks.entries().keys()];
  // compose-spec: a service that names none is on `default`
  return new Set(names.length > 0 ? names : ['default']);
}

class ComposeNames implements Names {
  readonly #units = new Map<string, Unit>();

  constructor(declared: readonly Declared[], units: readonly Unit[]) {
    for (const [index, { name, part }] of declared.entries()) {
      const unit = units[index];
      if (unit === undefined) continue;
      const aliases = [...part.at('networks').entries().values()].flatMap(network =>
        network.at('aliases').items(),
      );
      const others = [part.at('container_name'), part.at('hostname'), ...aliases].flatMap(
        other => other.text() ?? [],
      );
      this.#units.set(name.toLowerCase(), unit);
      for (const other of others)
        if (!this.#units.has(other.toLowerCase())) this.#units.set(other.toLowerCase(), unit);
    }
  }

  resolve(host: string): ReturnType<Names['resolve']> {
    const unit = this.#units.get(host.toLowerCase());
    return unit === undefined
      ? { kind: 'unknown', inCluster: !host.includes('.') }
      : { kind: 'units', units: [unit] };
  }
}
