import { createServer } from 'node:net';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { closed, compileSchema, Type } from '#base/schema';
import { hasCode } from '#base/error';
import { networkId } from './names.ts';
import { NetworkError } from './network.ts';

const book = compileSchema(
  'ports.json',
  closed({ ports: Type.Record(Type.String(), Type.Integer({ minimum: 1, maximum: 65_535 })) }),
);

/** Which TCP port of this machine is for what. The same purpose gets the same port, also in the next run. */
export interface PortBook {
  /**
   * Gives every purpose a port of its own that nothing else listens on.
   *
   * @param preferred for a purpose, the port to take if it is free and nobody's yet
   * @throws {NetworkError} `no-free-port`
   */
  assign(
    purposes: readonly string[],
    preferred?: ReadonlyMap<string, number>,
  ): Promise<ReadonlyMap<string, number>>;
}

// Below the ports that Linux and macOS take for outgoing connections (from 32768 and 49152).
const FIRST_PORT = 15_000;
const LAST_PORT = 32_000;
/** Systems that start at the same moment begin to look at different places. */
const STARTS = 128;
const START_STEP = 128;
const CHECKS_AT_A_TIME = 64;

/** @param reserved ports that are never given, such as that of the gateway */
export async function openPortBook(stateDirectory: string, reserved: ReadonlySet<number>): Promise<PortBook> {
  const path = join(stateDirectory, 'ports.json');
  const former = await readBook(path);
  const assigned = new Map<string, number>();
  const taken = new Set(reserved);
  let next = FIRST_PORT + (Number.parseInt(networkId(stateDirectory), 16) % STARTS) * START_STEP;

  const claim = (purpose: string, port: number): void => {
    assigned.set(purpose, port);
    taken.add(port);
  };
  const takeNextFree = async (): Promise<number> => {
    for (let looked = 0; looked <= LAST_PORT - FIRST_PORT; looked += 1) {
      const port = next;
      next = next >= LAST_PORT ? FIRST_PORT : next + 1;
      if (!taken.has(port) && (await isPortFree(port))) return port;
    }
    throw new NetworkError('no-free-port', `no port between ${FIRST_PORT} and ${LAST_PORT} is free`);
  };

  return {
    assign: async (purposes, preferred) => {
      const wanted = purposes
        .filter(purpose => !assigned.has(purpose))
        .map(purpose => ({ purpose, port: former.get(purpose) ?? preferred?.get(purpose) }));
      for (let at = 0; at < wanted.length; at += CHECKS_AT_A_TIME) {
        const some = wanted.slice(at, at + CHECKS_AT_A_TIME);
        const free = await Promise.all(some.map(async ({ port }) => port !== undefined && isPortFree(port)));
        for (const [index, { purpose, port }] of some.entries()) {
          if (free[index] === true && port !== undefined && !taken.has(port)) claim(purpose, port);
        }
      }
      for (const { purpose } of wanted) if (!assigned.has(purpose)) claim(purpose, await takeNextFree());
      if (wanted.length > 0) await writeBook(path, assigned);
      return new Map(purposes.map(purpose => [purpose, assigned.get(purpose) ?? 0]));
    },
  };
}

/** Whether nothing of this machine listens on `port`, on any address. */
export async function isPortFree(port: number, host = '0.0.0.0'): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer(socket => socket.destroy());
  server.once('error', () => resolve(false));
  server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  return promise;
}

async function readBook(path: string): Promise<ReadonlyMap<string, number>> {
  try {
    return new Map(Object.entries(book.parse(await readFile(path, 'utf8')).ports));
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'not-json') || hasCode(error, 'wrong-shape'))
      return new Map();
    throw error;
  }
}

async function writeBook(path: string, assigned: ReadonlyMap<string, number>): Promise<void> {
  const text = `${JSON.stringify({ ports: Object.fromEntries(assigned) }, null, 2)}\n`;
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
