import { quote } from '#base/error';
import { DEFAULT_ALGORITHM, DEFAULT_ISSUER_PORT, LOCAL_ALGORITHM } from './defaults.ts';
import type { Issuer } from './model.ts';
import { parseIssuerUrl } from './origin.ts';
import type { Reading } from './reading.ts';
import type { Text } from './shape.ts';
import type { IssuerRead, ModelRead } from './vocabulary.ts';

const LOCAL = 'local';

/** The issuers of a model; incomplete ones are left out, after their problems were reported. */
export function readIssuers(users: ModelRead['fields']['users'], reading: Reading): Issuer[] {
  const issuers: Issuer[] = [];
  const names = new Set<string>();
  const urls = new Set<string>();
  for (const read of users?.fields.issuers?.items ?? []) {
    const { name, issuer } = read.fields;
    refuseRepetition(name, names, reading);
    refuseRepetition(issuer, urls, reading);
    const complete = readIssuer(read, reading);
    if (complete !== undefined) issuers.push(complete);
  }
  return issuers;
}

function refuseRepetition(text: Text | undefined, seen: Set<string>, { problems }: Reading): void {
  if (text === undefined) return;
  if (seen.has(text.text)) {
    const isLocal = text.text === LOCAL;
    problems.add(
      isLocal ? 'local-issuer' : 'duplicate-entry',
      isLocal ? 'there is one local issuer' : `another issuer has ${quote(text.text)} already`,
      text,
    );
  }
  seen.add(text.text);
}

function readIssuer(read: IssuerRead, reading: Reading): Issuer | undefined {
  const { name, issuer, audience, algorithm, port } = read.fields;
  if (issuer === undefined) return undefined;
  const isLocal = issuer.text === LOCAL;
  if (!isLocal) {
    reading.take(issuer, parseIssuerUrl(issuer.text));
    if (port !== undefined) {
      const hint = 'the port of another issuer stands in its URL';
      reading.problems.add('local-issuer', '`port` belongs to the local issuer only', port, hint);
    }
  }
  if (name === undefined || audience === undefined) return undefined;
  return {
    name: name.text,
    issuer: issuer.text,
    audience: audience.text,
    algorithm: algorithm?.value ?? (isLocal ? LOCAL_ALGORITHM : DEFAULT_ALGORITHM),
    port: isLocal ? (port?.value ?? DEFAULT_ISSUER_PORT) : undefined,
    at: reading.at(read),
  };
}
