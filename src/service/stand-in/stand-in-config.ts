import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServicePlacement } from '#domain/compile';
import type { Service } from '#domain/model';
import { examplePath } from '#domain/path';

/** All that one stand-in process plays. */
export type StandInConfig = { readonly services: readonly StandInService[] };

export type StandInService = {
  readonly name: string;
  /** `tcp` echoes. */
  readonly protocol: 'http' | 'tcp';
  readonly listen: { readonly host: string; readonly port: number };
  readonly calls: readonly StandInCall[];
};

/** One declared call, with a path that its pattern matches; `connect` sends a line and waits for it to come back. */
export type StandInCall = {
  readonly callee: string;
  readonly address: { readonly host: string; readonly port: number };
  readonly request:
    { readonly kind: 'http'; readonly method: string; readonly path: string } | { readonly kind: 'connect' };
};

/** The program to run with Node; beside this file, as source or compiled. */
export function standInProgram(): string {
  return fileURLToPath(new URL(`main${extname(import.meta.filename)}`, import.meta.url));
}

export function standInService(service: Service, place: ServicePlacement): StandInService {
  return {
    name: service.name,
    protocol: service.protocol === 'tcp' ? 'tcp' : 'http',
    listen: place.app,
    calls: service.calls.flatMap(({ service: callee, calls }) => {
      const address = place.outbound.get(callee);
      if (address === undefined) return [];
      return calls.map((call): StandInCall => ({
        callee,
        address,
        request:
          call.kind === 'connect'
            ? { kind: 'connect' }
            : { kind: 'http', method: call.method, path: examplePath(call.path) },
      }));
    }),
  };
}
