import { join } from 'node:path';
import { encodeHex, sha256 } from '#base/bytes';

/** Six hex digits that name a state directory in interfaces, namespaces and tables. */
export function networkId(stateDirectory: string): string {
  return encodeHex(sha256(`ringwall network ${stateDirectory}`)).slice(0, 6);
}

/** Where a service may keep files. */
export function dataDirectoryOf(stateDirectory: string, service: string): string {
  return join(stateDirectory, 'data', service);
}

/** Names of one running system; Linux allows 15 bytes for an interface. */
export type Names = {
  readonly table: string;
  readonly linkPrefix: string;
  readonly namespacePrefix: string;
};

export function namesOf(id: string): Names {
  return { table: `ringwall_${id}`, linkPrefix: `rw${id}-`, namespacePrefix: `rw-${id}-` };
}
