import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Placement } from '#domain/compile';
import type { Model } from '#domain/model';
import { writeFileAtomically } from '#service/sealed';
import type { LocalIssuers } from './local-issuers.ts';
import type { ServiceRunner } from './service-runner.ts';
import { addressVariables } from './service-variables.ts';

/** Where services that run by themselves find what others are given in their environment. */
export function externalVariablesPath(stateDirectory: string, service: string): string {
  return join(stateDirectory, 'env', `${service}.env`);
}

/** Writes a file of `NAME=value` lines for each service that has no process here, and removes all others. */
export async function writeExternalVariables(
  parts: {
    readonly stateDirectory: string;
    readonly runner: ServiceRunner;
    readonly issuers: LocalIssuers;
  },
  model: Model,
  placement: Placement,
): Promise<void> {
  const { issuers, runner, stateDirectory } = parts;
  await removeExternalVariables(stateDirectory);
  const known = runner.services;
  for (const service of model.services.values()) {
    const place = placement.services.get(service.name);
    if (place === undefined || known.has(service.name)) continue;
    const path = externalVariablesPath(stateDirectory, service.name);
    await mkdir(join(stateDirectory, 'env'), { recursive: true, mode: 0o700 });
    const { host, port } = place.app;
    const variables = {
      HOST: host,
      PORT: String(port),
      ...addressVariables(place),
      ...issuers.variablesOf(service, place),
    };
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
    await writeFileAtomically(path, lines.join(''));
  }
}

export async function removeExternalVariables(stateDirectory: string): Promise<void> {
  await rm(join(stateDirectory, 'env'), { recursive: true, force: true });
}
