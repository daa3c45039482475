import { type Landscape, type Note, type Unit, plain } from '#domain/manifest';
import type { Method, Position, Protocol } from '#domain/model';
import { chooseListen, leadsTo, type Listen } from './choose-listen.ts';
import { draftEdge, type DraftHost } from './draft-edge.ts';
import { guessData, type DataGuess } from './guess-data.ts';
import { inferCalls, type FoundCall, type FoundEgress, type Inferred } from './infer-calls.ts';
import { nameUnits } from './name-units.ts';

/** A model as far as the manifests tell it, each line with where it comes from. */
export type Draft = {
  readonly kind: Landscape['kind'];
  readonly system: string;
  readonly documents: number;
  readonly hosts: readonly DraftHost[];
  readonly services: readonly DraftService[];
  readonly notes: readonly Note[];
};

export type DraftService = {
  readonly key: string;
  /** `undefined`: the default one. */
  readonly namespace: string | undefined;
  readonly from: string;
  readonly at: Position;
  readonly data: DataGuess;
  readonly listen: Listen;
  readonly image:
    { readonly text: string; readonly at: Position; readonly others: readonly string[] } | undefined;
  readonly calls: readonly DraftCall[];
  readonly egress: readonly FoundEgress[];
};

export type DraftCall = {
  readonly to: string;
  readonly protocol: Protocol;
  readonly from: string;
  readonly at: Position;
};

export type DraftRoute = {
  readonly path: string;
  readonly methods: readonly Method[];
  readonly to: string;
  readonly from: string;
  readonly at: Position;
  readonly remark: string | undefined;
};

/** Draws the model of a landscape. */
export function draftModel(landscape: Landscape, system: string): Draft {
  const notes: Note[] = [...landscape.notes];
  const keys = nameUnits(landscape.units, notes);
  const ownHosts = new Set(landscape.ways.flatMap(way => way.host?.toLowerCase() ?? []));
  const inferred = new Map(landscape.units.map(unit => [unit, inferCalls(unit, landscape, ownHosts)]));
  const callersOf = new Map<Unit, FoundCall[]>();
  for (const { calls } of inferred.values()) {
    for (const call of calls) callersOf.set(call.to, [...(callersOf.get(call.to) ?? []), call]);
  }
  const waysTo = (unit: Unit) => landscape.ways.filter(way => way.to === unit);
  const listens = new Map(
    landscape.units.map(unit => [unit, chooseListen(unit, callersOf.get(unit) ?? [], waysTo(unit))]),
  );
  const services = landscape.units.map(unit =>
    draftService(unit, {
      keys,
      listens,
      inferred,
      notes,
      isCalled: (callersOf.get(unit)?.length ?? 0) > 0 || waysTo(unit).length > 0,
    }),
  );
  for (const { notes: found } of inferred.values()) notes.push(...found);
  const hosts = draftEdge(landscape.ways, { system, keys, listens, notes });
  return { kind: landscape.kind, system, documents: landscape.documents, hosts, services, notes };
}

type Context = {
  readonly keys: ReadonlyMap<Unit, string>;
  readonly listens: ReadonlyMap<Unit, Listen>;
  readonly inferred: ReadonlyMap<Unit, Inferred>;
  readonly notes: Note[];
  readonly isCalled: boolean;
};

function draftService(unit: Unit, context: Context): DraftService {
  const { keys, notes } = context;
  const key = keys.get(unit) ?? unit.name;
  const listen = context.listens.get(unit) ?? chooseListen(unit, [], []);
  noteListen(key, unit, listen, context);
  const calls = draftCalls(unit, key, context);
  const egress = draftEgress(unit, key, calls, context);
  return {
    key,
    namespace: namespaceOf(unit, key, notes),
    from: unit.from,
    at: unit.at,
    data: guessData(unit),
    listen,
    image: imageOf(unit, key, listen, notes),
    calls,
    egress,
  };
}

/** The first sign of each call is written; they stand in the order in which they were found. */
function draftCalls(
  unit: Unit,
  key: string,
  { keys, listens, inferred, notes }: Context,
): readonly DraftCall[] {
  const byCallee = new Map<Unit, DraftCall>();
  const elsewhere = new Map<string, Note>();
  for (const { to, port, from, at } of inferred.get(unit)?.calls ?? []) {
    const listen = listens.get(to);
    const callee = keys.get(to);
    if (listen === undefined || callee === undefined) continue;
    if (!leadsTo(port, listen.door)) {
      const other = to.doors.find(door => leadsTo(port, door));
      const message =
        other === undefined
          ? `${key} addresses ${callee} at port ${port}, which it does not declare (${from}); written as a call of its port ${listen.port}`
          : `${key} calls ${callee} at port ${port} (${from}); the model carries one port of it, ${listen.port}: not written`;
      elsewhere.set(`${callee}:${port}`, { kind: 'port', message, at });
      if (other !== undefined) continue;
    }
    if (!byCallee.has(to)) byCallee.set(to, { to: callee, protocol: listen.protocol, from, at });
  }
  notes.push(...elsewhere.values());
  return [...byCallee.values()];
}

function draftEgress(
  unit: Unit,
  key: string,
  calls: readonly DraftCall[],
  { inferred, notes }: Context,
): readonly FoundEgress[] {
  const byVariable = new Map<string, FoundEgress>();
  const taken = new Set(calls.map(call => variableOf(call.to)));
  for (const egress of inferred.get(unit)?.egress ?? []) {
    const { hostname, port } = new URL(egress.origin);
    const variable = variableOf(port === '' ? hostname : `${hostname}_${port}`);
    const earlier = byVariable.get(variable);
    if (earlier?.origin === egress.origin) continue;
    if (earlier !== undefined || taken.has(variable)) {
      const message = `${key}: ${egress.origin} would have the same environment variable as another destination (${variable}_URL): not written`;
      notes.push({ kind: 'egress', message, at: egress.at });
    } else byVariable.set(variable, egress);
  }
  return [...byVariable.values()];
}

function noteListen(key: string, unit: Unit, listen: Listen, { notes, isCalled }: Context): void {
  if (listen.isPortGuessed && isCalled) {
    notes.push({
      kind: 'port',
      message: `${key}: no manifest tells its port; ${listen.port} is a guess`,
      at: unit.at,
    });
  } else if (listen.isProtocolGuessed && !listen.isPortGuessed) {
    notes.push({
      kind: 'protocol',
      message: `${key}: nothing tells what it speaks at port ${listen.port}; http is a guess`,
      at: listen.at,
    });
  }
  const { door } = listen;
  if (door !== undefined && (door.name?.startsWith('https') === true || [443, 8443].includes(door.port))) {
    notes.push({
      kind: 'protocol',
      message: `${key} seems to speak TLS itself at port ${door.port}; Ringwall brings the TLS: let it listen in plaintext`,
      at: door.at,
    });
  }
  const others = unit.doors
    .filter(other => other !== door)
    .map(other => (other.name === undefined ? `${other.port}` : `${other.port} (${plain(other.name)})`));
  if (others.length > 0) {
    notes.push({
      kind: 'port',
      message: `${key} has more ports than the one in the model: ${others.join(', ')}`,
      at: unit.at,
    });
  }
}

function imageOf(unit: Unit, key: string, listen: Listen, notes: Note[]): DraftService['image'] {
  const behind = unit.images.find(({ text }) => text === listen.door?.image) ?? unit.images[0];
  if (behind === undefined) return undefined;
  if (!/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,511}$/.test(behind.text)) {
    notes.push({
      kind: 'name',
      message: `${key}: its image is no image reference: ${plain(behind.text)}`,
      at: behind.at,
    });
    return undefined;
  }
  const others = new Set(
    unit.images.filter(({ text }) => text !== behind.text).map(({ text }) => plain(text)),
  );
  return { text: behind.text, at: behind.at, others: [...others] };
}

function namespaceOf(unit: Unit, key: string, notes: Note[]): string | undefined {
  if (unit.namespace === '' || unit.namespace === 'default') return undefined;
  if (unit.namespace !== 'ringwall' && /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(unit.namespace))
    return unit.namespace;
  notes.push({
    kind: 'name',
    message: `${key}: its namespace ${plain(unit.namespace)} cannot stand in a model`,
    at: unit.at,
  });
  return undefined;
}

/** As a model names the variables of a destination; two of one name are an error there. */
function variableOf(destination: string): string {
  return destination.toUpperCase().replace(/[^A-Z0-9]/g, '_');
}
