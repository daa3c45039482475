/** What a start tells whoever waits for it. */
export type Progress = {
  /** A part is ready. */
  readonly ready: (part: string, detail: string) => void;
  /** Something that whoever watches should know. */
  readonly note: (text: string) => void;
};

/**
 * Writes a line for each part, with the time since the start.
 *
 * @param options.working shows on a terminal what is still under way
 */
export function createProgress(options: {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  readonly elapsedMs: () => number;
}): Progress & { readonly working: (text: string) => void; readonly end: () => void } {
  let shown = false;
  const clear = (): string => {
    const text = shown ? '\r\u001b[K' : '';
    shown = false;
    return text;
  };
  const seconds = (): string => `${(options.elapsedMs() / 1000).toFixed(2)} s`;
  return {
    ready: (part, detail) =>
      options.write(`${clear()}  ${part.padEnd(PART_WIDTH)} ${seconds().padStart(8)}  ${detail}\n`),
    note: text => options.write(`${clear()}  ${text}\n`),
    working: text => {
      if (!options.isTerminal) return;
      options.write(`${clear()}  ${text} …`);
      shown = true;
    },
    end: () => options.write(clear()),
  };
}

const PART_WIDTH = 24;
