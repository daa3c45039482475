import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Address } from '#domain/bundle';
import type { Grounds } from './grounds.ts';
import type { Talk } from './wire.ts';

/** One message from inside of a namespace, and what came back: a JSON line each. */
export type InsideOrder = {
  readonly id: number;
  readonly address: Address;
  /** base64; `null` to connect and say nothing. */
  readonly bytes: string | null;
  readonly method: string;
};
export type InsideReport = {
  readonly id: number;
  readonly talk: Omit<Talk, 'received'> & { readonly received: string };
};

type Waiting = { readonly resolve: (talk: Talk) => void; readonly reject: (error: Error) => void };

/** A small process in a service's network that connects from there. */
class Insider {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #gone: Error | undefined;

  constructor([file, ...args]: readonly [string, ...string[]]) {
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.on('error', error => this.#fail(error));
    this.#child.on('exit', code =>
      this.#fail(new Error(`the probe in the namespace ended (${code ?? 'killed'})`)),
    );
    this.#child.stdin.on('error', () => {});
    this.#child.stderr.resume();
    createInterface({ input: this.#child.stdout }).on('line', line =>
      this.#report(JSON.parse(line) as InsideReport),
    );
  }

  talk(address: Address, bytes: Buffer | undefined, method: string): Promise<Talk> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone);
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<Talk>();
    this.#waiting.set(id, { resolve, reject });
    const order: InsideOrder = { id, address, bytes: bytes?.toString('base64') ?? null, method };
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
    return promise;
  }

  close(): void {
    this.#child.stdin.end();
    this.#child.kill();
  }

  #report({ id, talk }: InsideReport): void {
    this.#waiting.get(id)?.resolve({ ...talk, received: Buffer.from(talk.received, 'base64') });
    this.#waiting.delete(id);
  }

  #fail(error: Error): void {
    this.#gone ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#gone);
    this.#waiting.clear();
  }
}

/** Connects from inside of the services' networks, by one process in each. */
export class Insiders {
  readonly #grounds: Pick<Grounds, 'inside'>;
  readonly #byService = new Map<string, Insider | undefined>();

  constructor(grounds: Pick<Grounds, 'inside'>) {
    this.#grounds = grounds;
  }

  /** @returns `undefined` when the service has no network of its own */
  of(service: string): Insider | undefined {
    if (this.#byService.has(service)) return this.#byService.get(service);
    const program = fileURLToPath(new URL(`inside-main${extname(import.meta.filename)}`, import.meta.url));
    const command = this.#grounds.inside(service, [process.execPath, program]);
    const insider = command === undefined ? undefined : new Insider(command);
    this.#byService.set(service, insider);
    return insider;
  }

  close(): void {
    for (const insider of this.#byService.values()) insider?.close();
    this.#byService.clear();
  }
}
