import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { JournalBatch } from '#service/ledger';
import type { Answer, Order } from './ledger-control.ts';

type Said<K extends Answer['kind']> = Extract<Answer, { kind: K }>;

/** A process that holds the ledger. */
export class Control {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<string, PromiseWithResolvers<Answer>>();

  constructor(home: string, task: 'keep' | 'verify') {
    this.#child = fork(join(import.meta.dirname, 'ledger-control.ts'), [home, task]);
    this.#child.on('message', (answer: Answer) => {
      const key = answer.kind === 'appended' ? answer.point : answer.kind;
      this.#waiting.get(key)?.resolve(answer);
      this.#waiting.delete(key);
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the process has ended'));
    });
  }

  /** What the child says next of this kind. */
  hear<K extends Exclude<Answer['kind'], 'appended'>>(kind: K): Promise<Said<K>> {
    return this.#next(kind) as Promise<Said<K>>;
  }

  async append(batch: JournalBatch): Promise<void> {
    const appended = this.#next(batch.point);
    this.#say({ kind: 'append', batch });
    await appended;
  }

  index(): Promise<Said<'indexed'>> {
    const indexed = this.hear('indexed');
    this.#say({ kind: 'index' });
    return indexed;
  }

  async close(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#say({ kind: 'close' });
    await exited;
  }

  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  #say(order: Order): void {
    this.#child.send(order);
  }

  #next(key: string): Promise<Answer> {
    const answer = Promise.withResolvers<Answer>();
    this.#waiting.set(key, answer);
    return answer.promise;
  }
}

export async function startControl(
  home: string,
): Promise<{ control: Control; openMs: number; size: number }> {
  const control = new Control(home, 'keep');
  return { control, ...(await control.hear('open')) };
}
