import {
  type Door,
  type Unit,
  type Way,
  isSideDoor,
  knownImage,
  plain,
  protocolOfPort,
  protocolOfScheme,
} from '#domain/manifest';
import type { Position, Protocol } from '#domain/model';
import type { FoundCall } from './infer-calls.ts';

/** The one port of a unit that the model carries. */
export type Listen = {
  readonly protocol: Protocol;
  readonly port: number;
  readonly from: string;
  readonly at: Position | undefined;
  readonly isProtocolGuessed: boolean;
  readonly isPortGuessed: boolean;
  readonly door: Door | undefined;
};

const PORT_SETTING = /^(?:(?:http|server|app|listen|service|grpc|container)[_.])?port$/i;

/** Chooses by who addresses what: callers' ports first, then what the ports themselves say. */
export function chooseListen(unit: Unit, callers: readonly FoundCall[], ways: readonly Way[]): Listen {
  const votes = [...callers.map(call => call.port), ...ways.map(way => way.toPort)];
  const [door] = unit.doors.toSorted((a, b) => score(b, unit, votes) - score(a, unit, votes));
  const schemes = callers
    .filter(call => leadsTo(call.port, door))
    .flatMap(call => (call.scheme === undefined ? [] : [protocolOfScheme(call.scheme)]));
  if (door !== undefined) return listenAtDoor(door, schemes);

  const known = unit.images.map(({ text }) => knownImage(text)).find(found => found !== undefined);
  const addressed = callers.find(call => call.port !== undefined);
  const setting = unit.settings.find(
    ({ name, value }) => PORT_SETTING.test(name) && /^\d{2,5}$/.test(value) && Number(value) <= 65_535,
  );
  const port = addressed?.port ?? known?.port ?? (setting === undefined ? undefined : Number(setting.value));
  const byPort = port === undefined ? undefined : protocolOfPort(port);
  const protocol =
    schemes[0] ??
    known?.protocol ??
    (setting?.name.toLowerCase().startsWith('grpc') === true ? 'grpc' : byPort);
  const shared = {
    protocol: protocol ?? 'http',
    port: port ?? 8080,
    isProtocolGuessed: protocol === undefined,
    isPortGuessed: port === undefined,
    door: undefined,
  };
  if (addressed !== undefined)
    return { ...shared, from: `as ${addressed.from} addresses it`, at: addressed.at };
  if (known !== undefined) return { ...shared, from: `image ${known.name}`, at: unit.images[0]?.at };
  if (setting !== undefined) return { ...shared, from: setting.from, at: setting.locate(setting.value, 0) };
  return { ...shared, from: '', at: undefined };
}

/** Whether callers of `port` come to `door`. A port that nobody declared could be any. */
export function leadsTo(port: number | undefined, door: Door | undefined): boolean {
  return port === undefined || door === undefined || door.port === port || door.addressedAt.includes(port);
}

function listenAtDoor(door: Door, schemes: readonly Protocol[]): Listen {
  // What callers write is better evidence than a port number.
  const weak = door.protocol === undefined || door.toldBy.startsWith('well-known');
  const protocol = (weak ? (schemes[0] ?? door.protocol) : door.protocol) ?? 'http';
  const isProtocolGuessed = door.protocol === undefined && schemes.length === 0;
  return {
    protocol,
    port: door.port,
    from: plain(door.from),
    at: door.at,
    isProtocolGuessed,
    isPortGuessed: false,
    door,
  };
}

function score(door: Door, unit: Unit, votes: readonly (number | undefined)[]): number {
  const addressed = votes.filter(port => port !== undefined && leadsTo(port, door)).length;
  const ofImage = unit.images.some(({ text }) => knownImage(text)?.port === door.port) ? 10 : 0;
  const isTls = door.name?.startsWith('https') === true || door.port === 443 || door.port === 8443;
  const told = door.protocol === undefined ? 0 : 2;
  return (
    Math.min(addressed, 1000) * 100 + ofImage + told - (isTls ? 1 : 0) - (isSideDoor(door.name) ? 50 : 0)
  );
}
