import type { Problem } from './problem.ts';
import { SourceText } from './source-text.ts';
import { clipLine, displayWidth, showLine } from './terminal-line.ts';

export type FormatOptions = { readonly colour: boolean };

/**
 * Shows a problem as compilers do: `file:line:col: error: message`, the line, a caret under what is meant, a hint.
 * Control characters of the source are shown, not sent: a model cannot write to the reader's terminal.
 */
export function formatProblem(problem: Problem, sourceText: string, options: FormatOptions): string {
  return format(problem, new SourceText(problem.at.file, sourceText), options);
}

/** All problems, an empty line between them. */
export function formatProblems(
  problems: readonly Problem[],
  sourceText: string,
  options: FormatOptions,
): string {
  const source = new SourceText('', sourceText);
  return problems.map(problem => format(problem, source, options)).join('\n');
}

/** The problems as a JSON array, one object each: for scripts and editors. */
export function problemsToJson(problems: readonly Problem[]): object[] {
  return problems.map(({ severity, code, message, at, length, hint }) => ({
    severity,
    code,
    message,
    file: at.file,
    line: at.line,
    column: at.column,
    length: length ?? 1,
    hint: hint ?? null,
  }));
}

function format(
  { severity, message, at, length, hint }: Problem,
  source: SourceText,
  { colour }: FormatOptions,
): string {
  const paint = colour ? PAINT : PLAIN;
  const tone = severity === 'error' ? paint.error : paint.warning;
  const lines = [
    `${paint.bold}${showLine(at.file)}:${at.line}:${at.column}: ${tone}${severity}:${paint.off} ${paint.bold}${showLine(message)}${paint.off}`,
  ];
  const text = source.line(at.line);
  if (text !== undefined && text.trim() !== '') {
    const number = String(at.line);
    const gutter = ' '.repeat(number.length);
    const clipped = clipLine(text, at.column - 1, length ?? 1);
    const before = displayWidth(showLine(clipped.text.slice(0, clipped.start)));
    const marked = displayWidth(showLine(clipped.text.slice(clipped.start, clipped.end)));
    const carets = '^'.repeat(Math.max(1, marked));
    lines.push(`${paint.faint}${number} |${paint.off} ${showLine(clipped.text)}`);
    lines.push(`${paint.faint}${gutter} |${paint.off} ${' '.repeat(before)}${tone}${carets}${paint.off}`);
  }
  if (hint !== undefined) lines.push(`${paint.hint}hint:${paint.off} ${showLine(hint)}`);
  return `${lines.join('\n')}\n`;
}

const PAINT = {
  bold: '\u001b[1m',
  error: '\u001b[1;31m',
  warning: '\u001b[1;33m',
  hint: '\u001b[36m',
  faint: '\u001b[2m',
  off: '\u001b[0m',
} as const;
const PLAIN = { bold: '', error: '', warning: '', hint: '', faint: '', off: '' } as const;
