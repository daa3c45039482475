import { killGroup } from '#service/supervise';

/** The process groups of this run; ends them should this process end without having stopped them. */
export class ProcessList {
  readonly #pids = new Set<number>();
  readonly #killAll = (): void => {
    for (const pid of this.#pids) killGroup(pid);
  };

  constructor(hurry: AbortSignal) {
    process.on('exit', this.#killAll);
    hurry.addEventListener('abort', this.#killAll, { once: true });
  }

  add(pid: number): void {
    this.#pids.add(pid);
  }

  /** All have been stopped in order. */
  close(): void {
    this.#pids.clear();
    process.off('exit', this.#killAll);
  }
}
