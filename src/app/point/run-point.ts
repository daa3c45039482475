import { randomBytes } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '#base/clock';
import { CodedError } from '#base/error';
import { createLog, type Log } from '#base/log';
import { SchemaError } from '#base/schema';
import { openJournal, type Journal } from '#service/ledger';
import { pointConfigSchema, startPoint, type PointConfig, type PointHost } from '#service/point';
import { openSealer } from '#service/sealed';

type Server = PointHost & { drain(): Promise<void> };

/** Exit codes of sysexits.h. */
const EXIT = { ok: 0, usage: 64, unavailable: 69 } as const;
const ANONYMOUS_KEY = 'key of anonymous ids';
const DRAIN_WITHIN_MS = 3000;

/**
 * Runs a point until it is told to end.
 *
 * @param options.input its first line is the configuration
 * @returns the exit code
 */
export async function runPoint(options: {
  readonly input: NodeJS.ReadableStream;
  readonly writeLog: (line: string) => void;
}): Promise<0 | 64 | 69> {
  const clock = systemClock;
  const config = await readConfig(options.input);
  if (config === undefined) {
    options.writeLog('ringwall: point: no valid configuration on standard input\n');
    return EXIT.usage;
  }
  const log = createLog({ name: config.name, level: 'info', clock, write: options.writeLog });
  const stop = new AbortController();
  const ended = whenTold(stop);
  await using stack = new AsyncDisposableStack();
  try {
    await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
    await chmod(config.stateDir, 0o700);
    const journal = await openJournal({
      directory: join(config.stateDir, 'journal'),
      point: config.name,
      clock,
      log,
    });
    stack.defer(() => journal.close());
    const server = await openServer(config, journal, log);
    stack.defer(() => within(server.drain(), DRAIN_WITHIN_MS));
    const lost = Promise.withResolvers<void>();
    const point = await startPoint({
      config,
      journal,
      host: server,
      clock,
      log,
      signal: stop.signal,
      onLost: lost.resolve,
    });
    // Before the drain: what control pushes from now on is for the next run.
    stack.defer(() => point.close());
    const outcome = await Promise.race([
      ended.then(() => EXIT.ok),
      lost.promise.then(() => EXIT.unavailable),
    ]);
    log.info('the point ends');
    return outcome;
  } catch (error) {
    if (stop.signal.aborted) return EXIT.ok;
    if (!(error instanceof CodedError)) throw error;
    log.error('the point cannot start', { error: error.message });
    return EXIT.unavailable;
  }
}

async function readConfig(input: NodeJS.ReadableStream): Promise<PointConfig | undefined> {
  for await (const line of createInterface({ input })) {
    try {
      return pointConfigSchema.parse(line);
    } catch (error) {
      // The line holds a join token: nothing of it may be shown.
      if (error instanceof SchemaError) return undefined;
      throw error;
    }
  }
  return undefined;
}

/**
 * The kind of a point follows from its name: there is one gateway, and everything else is an agent. Each process loads
 * only what it is.
 */
async function openServer(config: PointConfig, journal: Journal, log: Log): Promise<Server> {
  const clock = systemClock;
  if (config.name !== 'gateway') {
    const { createAgent } = await import('#service/agent');
    return createAgent({ journal, clock, log });
  }
  const { createGateway } = await import('#service/gateway');
  return createGateway({ journal, clock, log, anonymousKey: await openAnonymousKey(config.stateDir) });
}

/** Anonymous callers keep their ids over a restart. */
async function openAnonymousKey(stateDir: string): Promise<Uint8Array> {
  const path = join(stateDir, 'anonymous.sealed');
  const sealer = await openSealer({ keyFile: join(stateDir, 'point.key'), whenMissing: 'create' });
  const kept = await sealer.readFile(path, ANONYMOUS_KEY);
  if (kept !== undefined) return kept;
  const key = randomBytes(32);
  await sealer.writeFile(path, ANONYMOUS_KEY, key);
  return key;
}

async function whenTold(stop: AbortController): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => resolve());
  await promise;
  stop.abort();
}

async function within(work: Promise<void>, timeoutMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
