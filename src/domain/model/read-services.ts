import { isAbsolute, join } from 'node:path';
import { quote } from '#base/error';
import { RINGWALL_NAMESPACE } from '#domain/spiffe';
import { DEFAULT_NAMESPACE, DEFAULTS } from './defaults.ts';
import { environmentName, originEnvironmentName } from './environment-name.ts';
import { parseCall, parseListen, splitCommand } from './grammar.ts';
import {
  OUTSIDE,
  PROTOCOLS,
  type Call,
  type Callee,
  type Egress,
  type Protocol,
  type Run,
  type Service,
} from './model.ts';
import { parseOrigin } from './origin.ts';
import type { Reading } from './reading.ts';
import type { Text } from './shape.ts';
import type { ModelRead, RunRead, ServiceRead } from './vocabulary.ts';

type ServicesRead = ModelRead['fields']['services'];

/** The protocol of each service, before anything refers to it: undefined where `listen` is not readable. */
export function readProtocols(services: ServicesRead): Map<string, Protocol | undefined> {
  const protocols = new Map<string, Protocol | undefined>();
  for (const { key, value } of services?.entries ?? []) {
    const listen = value?.fields.listen;
    const parsed = listen === undefined ? undefined : parseListen(listen.text, PROTOCOLS);
    protocols.set(key.text, parsed?.kind === 'parsed' ? parsed.value.protocol : undefined);
  }
  return protocols;
}

/** The services by name, in the order of the file; incomplete ones are left out, after their problems were reported. */
export function readServices(services: ServicesRead, reading: Reading): Map<string, Service> {
  const complete = new Map<string, Service>();
  for (const { key, value } of services?.entries ?? []) {
    if (key.text === OUTSIDE) {
      reading.problems.add(
        'reserved-name',
        `\`${OUTSIDE}\` means callers from outside of the system`,
        key,
        'give the service another name',
      );
    }
    const service = value === undefined ? undefined : readService(key, value, reading);
    if (service !== undefined) complete.set(service.name, service);
  }
  return complete;
}

function readService(name: Text, { fields }: ServiceRead, reading: Reading): Service | undefined {
  const listen = fields.listen && reading.take(fields.listen, parseListen(fields.listen.text, PROTOCOLS));
  const calls = (fields.calls?.entries ?? []).map(({ key, value }) =>
    readCallee(name, key, value?.items ?? [], reading),
  );
  const egress = (fields.egress?.items ?? []).map((item, index) => readEgress(name, item, index, reading));
  if (fields.namespace?.text === RINGWALL_NAMESPACE) {
    reading.problems.add(
      'reserved-name',
      `namespace \`${RINGWALL_NAMESPACE}\` holds the identities of Ringwall itself`,
      fields.namespace,
    );
  }
  const variables = refuseEnvironmentConflicts(fields, reading);
  const run = fields.run && readRun(fields.run, variables, reading);
  const data = fields.data?.value;
  if (data === undefined || listen === undefined) return undefined;
  return {
    name: name.text,
    namespace: fields.namespace?.text ?? DEFAULT_NAMESPACE,
    data,
    protocol: listen.protocol,
    port: listen.port,
    image: fields.image?.text,
    run,
    record: fields.record?.value ?? DEFAULTS[data].record,
    calls: calls.filter(callee => callee !== undefined),
    egress: egress.filter(origin => origin !== undefined),
    at: reading.at(name),
  };
}

function readCallee(
  caller: Text,
  callee: Text,
  texts: readonly Text[],
  reading: Reading,
): Callee | undefined {
  if (callee.text === caller.text) {
    reading.problems.add(
      'self-call',
      `\`${caller.text}\` calls itself`,
      callee,
      'a call inside of a service needs no rule',
    );
    return undefined;
  }
  if (!reading.isDeclared(callee)) {
    for (const text of texts) readCall(text, '', undefined, reading);
    return undefined;
  }
  const protocol = reading.protocols.get(callee.text);
  const calls: Call[] = [];
  const seen = new Map<string, Call>();
  for (const [index, text] of texts.entries()) {
    const call = readCall(text, `calls/${caller.text}/${callee.text}/${index}`, protocol, reading);
    if (call === undefined) continue;
    const key = call.kind === 'http' ? `${call.method} ${call.path.text}` : call.kind;
    const first = seen.get(key);
    if (first !== undefined) {
      reading.problems.add(
        'duplicate-call',
        `\`${key}\` is allowed already`,
        text,
        `the first is in line ${first.at.line}`,
      );
      continue;
    }
    seen.set(key, call);
    calls.push(call);
  }
  return { service: callee.text, calls, at: reading.at(callee) };
}

/** @param protocol of the callee, undefined where unknown */
function readCall(
  text: Text,
  rule: string,
  protocol: Protocol | undefined,
  reading: Reading,
): Call | undefined {
  const parsed = reading.take(text, parseCall(text.text));
  if (parsed === undefined) return undefined;
  const at = reading.at(text);
  if (parsed.kind === 'connect') {
    if (protocol !== undefined && protocol !== 'tcp') {
      const hint = 'write a method and a path: `GET /products/*`';
      reading.problems.add(
        'wrong-protocol',
        `\`connect\` is for tcp services; this one speaks ${protocol}`,
        text,
        hint,
      );
    }
    return { kind: 'connect', rule, at };
  }
  const path = reading.pattern(text, parsed.pathIndex);
  if (path === undefined) return undefined;
  if (protocol === 'tcp') {
    reading.problems.add(
      'wrong-protocol',
      'a tcp service has no methods and paths',
      text,
      'its only call is `connect`',
    );
  }
  if (protocol === 'grpc' && parsed.method !== 'POST') {
    reading.problems.add(
      'wrong-protocol',
      'a gRPC call is a POST',
      text,
      'write `POST /package.Service/Method`',
    );
  }
  return { kind: 'http', rule, method: parsed.method, path, at };
}

function readEgress(service: Text, text: Text, index: number, reading: Reading): Egress | undefined {
  const origin = reading.take(text, parseOrigin(text.text));
  return origin === undefined
    ? undefined
    : { rule: `egress/${service.text}/${index}`, origin, at: reading.at(text) };
}

/** Two destinations of one service whose variables have one name would hide each other. Gives all stems. */
function refuseEnvironmentConflicts({ calls, egress }: ServiceRead['fields'], reading: Reading): Set<string> {
  const stems = new Map<string, string>();
  const claim = (stem: string, text: Text): void => {
    const holder = stems.get(stem);
    if (holder !== undefined && holder !== text.text) {
      const message = `${quote(text.text)} and another destination of this service are both called \`${stem}_URL\` in its environment`;
      reading.problems.add('environment-conflict', message, text);
    }
    stems.set(stem, text.text);
  };
  for (const { key } of calls?.entries ?? []) claim(environmentName(key.text), key);
  for (const text of egress?.items ?? []) {
    if (parseOrigin(text.text).kind === 'parsed') claim(originEnvironmentName(text.text), text);
  }
  return new Set(stems.keys());
}

function readRun(read: Text | RunRead, stems: ReadonlySet<string>, reading: Reading): Run | undefined {
  if (read.kind === 'text') {
    const command = reading.take(read, splitCommand(read.text));
    return command && { command, directory: reading.directory, env: {}, at: reading.at(read) };
  }
  const { command: written, directory, env } = read.fields;
  const command =
    written?.kind === 'text'
      ? reading.take(written, splitCommand(written.text))
      : written?.items.map(({ text }) => text);
  const variables = (env?.entries ?? []).map(({ key, value }) => {
    refuseReservedVariable(key, stems, reading);
    return [key.text, value?.text ?? ''] as const;
  });
  const [program, ...rest] = command ?? [];
  if (program === undefined) return undefined;
  const folder = directory?.text ?? '';
  return {
    command: [program, ...rest],
    directory: isAbsolute(folder) ? folder : join(reading.directory, folder),
    env: Object.fromEntries(variables),
    at: reading.at(written ?? read),
  };
}

function refuseReservedVariable(key: Text, stems: ReadonlySet<string>, { problems }: Reading): void {
  const stem = /^(.*)_(?:URL|ADDR)$/.exec(key.text)?.[1];
  const isReserved = key.text === 'HOST' || key.text === 'PORT' || key.text.startsWith('RINGWALL_');
  if (!isReserved && (stem === undefined || !stems.has(stem))) return;
  problems.add(
    'reserved-name',
    `\`${key.text}\` is set by Ringwall`,
    key,
    'remove it; the service reads what it is given',
  );
}
