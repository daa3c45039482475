import { Listener, type ListenerOptions } from './listener.ts';

/** All listeners of a point. They change together, or not at all. */
export class Listeners {
  #byAddress: ReadonlyMap<string, Listener> = new Map();
  readonly #draining = new Set<Promise<void>>();

  get all(): Iterable<Listener> {
    return this.#byAddress.values();
  }

  /** The port on which `purpose` listens; for addresses that ask for any port. */
  find(purpose: string): Listener | undefined {
    return [...this.#byAddress.values()].find(listener => listener.purpose === purpose);
  }

  /**
   * Opens the listeners at addresses that are new, without letting anybody in.
   *
   * @returns `commit` puts all of `wanted` in force at once and drains the listeners that are no longer wanted
   * @throws the system's error when an address cannot be had; then nothing has changed
   */
  async prepare(
    wanted: readonly ListenerOptions[],
    drainTimeoutMs: number,
  ): Promise<{ readonly commit: () => void }> {
    const next = new Map<string, Listener>();
    const opened: Listener[] = [];
    try {
      for (const options of wanted) {
        const key = keyOf(options);
        const known = this.#byAddress.get(key);
        if (known !== undefined) {
          next.set(key, known);
          continue;
        }
        const listener = new Listener(options);
        opened.push(listener);
        await listener.listen();
        next.set(key, listener);
      }
    } catch (error) {
      for (const listener of opened) listener.close();
      throw error;
    }
    return {
      commit: () => {
        const former = this.#byAddress;
        this.#byAddress = next;
        for (const options of wanted) next.get(keyOf(options))?.open(options);
        for (const [key, listener] of former) {
          if (!next.has(key)) this.#drain(listener, drainTimeoutMs);
        }
      },
    };
  }

  async drain(timeoutMs: number): Promise<void> {
    for (const listener of this.#byAddress.values()) this.#drain(listener, timeoutMs);
    this.#byAddress = new Map();
    await Promise.all(this.#draining);
  }

  close(): void {
    for (const listener of this.#byAddress.values()) listener.close();
    this.#byAddress = new Map();
  }

  #drain(listener: Listener, timeoutMs: number): void {
    const drained = listener.drain(timeoutMs).finally(() => this.#draining.delete(drained));
    this.#draining.add(drained);
  }
}

function keyOf({ address, purpose }: ListenerOptions): string {
  // Port 0 stands for any: only the purpose tells two of them apart.
  return address.port === 0 ? `${address.host}:0/${purpose}` : `${address.host}:${address.port}`;
}
