import { configLines } from './config-lines.ts';
import { plain } from './plain.ts';
import type { Locate, Setting } from './setting.ts';

/** Command-line words as settings: `--db-host=x`, `--db-host x`, and what is neither as a script. */
export function argumentSettings(
  from: string,
  words: readonly { readonly text: string; readonly locate: Locate }[],
): readonly Setting[] {
  return words.flatMap(({ text, locate }, index): Setting[] => {
    const assigned = /^-{0,2}([A-Za-z][\w.-]{0,80})=(.*)$/s.exec(text);
    if (assigned?.[1] !== undefined) {
      return [
        {
          from: `${from} ${plain(assigned[1])}`,
          name: assigned[1],
          value: assigned[2] ?? '',
          form: 'value',
          locate,
        },
      ];
    }
    const flag = /^--?([A-Za-z][\w.-]{0,80})$/.exec(words[index - 1]?.text ?? '')?.[1];
    const isOneWord = !/\s/.test(text);
    if (flag !== undefined && isOneWord && !text.startsWith('-')) {
      const name = flag === 'h' || flag === 'H' ? 'host' : flag;
      return [{ from: `${from} ${plain(flag)}`, name, value: text, form: 'value', locate }];
    }
    return scriptLines(text).map(({ value, line }) => {
      const locateLine: Locate = (token, occurrence) => locate(token, occurrence, line);
      return { from, name: '', value, form: 'script', locate: locateLine };
    });
  });
}

/** A value that is itself a configuration text is read as one, any other as it is. */
export function settingsOfText(from: string, name: string, text: string, locate: Locate): readonly Setting[] {
  const isFile = text.trim().includes('\n') || /^\s*[{[]\s*["{[]/.test(text);
  return isFile
    ? settingsOfFile(from, text, locate)
    : [{ from, name, value: text.trim(), form: 'value', locate }];
}

/** What the lines of a configuration file set. */
export function settingsOfFile(from: string, text: string, locate: Locate): readonly Setting[] {
  return configLines(text).map(({ name, value, form, line }) => ({
    from,
    name,
    value,
    form,
    isFileLine: true,
    locate: (token, occurrence) => locate(token, occurrence, line),
  }));
}

/** The lines of a script that run: no comments, and nothing that is only printed. */
function scriptLines(text: string): { value: string; line: number }[] {
  return text
    .split('\n')
    .map((value, line) => ({ value, line }))
    .filter(({ value }) => value.trim() !== '' && !/^\s*(?:#|\/\/|echo\s)/.test(value));
}
