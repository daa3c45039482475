import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Address } from '#domain/bundle';
import type { NetworkStatus } from '#service/network';
import { writeFileAtomically } from '#service/sealed';

/** `STATE/ready.json`: there while the system is up, for scripts, proofs and tests. */
export type ReadyFile = {
  /** URL of the gateway. */
  readonly gateway: string;
  /** The host names that it answers to. */
  readonly hosts: readonly string[];
  /** Path of control's Unix socket. */
  readonly control: string;
  /** Path of the trust domain's roots, PEM. */
  readonly ca: string;
  /** URL of the built-in issuer. */
  readonly issuer: string | null;
  readonly network: NetworkStatus;
  readonly points: readonly {
    readonly name: string;
    readonly kind: 'gateway' | 'agent';
    readonly admin: Address;
  }[];
  /** By name. */
  readonly services: Readonly<Record<string, ReadyService>>;
  /** Process ids: `up`, and each point by its name. */
  readonly pids: Readonly<Record<string, number>>;
};

export type ReadyService = {
  readonly inbound: Address;
  readonly app: Address;
  /** The network namespace that it runs in. */
  readonly namespace?: string;
  readonly pid?: number;
  readonly standIn: boolean;
};

export async function writeReadyFile(stateDirectory: string, ready: ReadyFile): Promise<void> {
  await writeFileAtomically(readyPath(stateDirectory), `${JSON.stringify(ready, null, 2)}\n`);
}

export async function removeReadyFile(stateDirectory: string): Promise<void> {
  await rm(readyPath(stateDirectory), { force: true });
}

function readyPath(stateDirectory: string): string {
  return join(stateDirectory, 'ready.json');
}
