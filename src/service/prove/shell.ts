/** One word of a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w@/.:=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

const NAMED: Readonly<Record<string, string>> = {
  '\r': String.raw`\r`,
  '\n': String.raw`\n`,
  '\\': String.raw`\\`,
  '%': '%%',
};

/** The format by which printf(1) prints `text`, latin1. */
export function printfFormat(text: string): string {
  return text.replace(
    /[^ -~]|[\\%]/g,
    unit => NAMED[unit] ?? `\\${unit.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}
