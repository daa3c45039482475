import type { Clock } from '#base/clock';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export type Log = {
  readonly debug: (message: string, fields?: LogFields) => void;
  readonly info: (message: string, fields?: LogFields) => void;
  readonly warn: (message: string, fields?: LogFields) => void;
  readonly error: (message: string, fields?: LogFields) => void;
};

const ORDER: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/**
 * @param options.name which process or part speaks
 * @param options.level the least severe level that is written
 * @param options.write receives one line, with its newline
 */
export function createLog(options: {
  readonly name: string;
  readonly level: LogLevel;
  readonly clock: Clock;
  readonly write: (line: string) => void;
}): Log {
  const emit = (level: LogLevel) => {
    if (ORDER[level] < ORDER[options.level]) return () => {};
    return (message: string, fields?: LogFields) => {
      const time = new Date(options.clock.nowMs()).toISOString();
      options.write(`${JSON.stringify({ time, level, name: options.name, message, ...fields })}\n`);
    };
  };
  return { debug: emit('debug'), info: emit('info'), warn: emit('warn'), error: emit('error') };
}

export const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
