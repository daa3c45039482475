import { normalisePath as strict } from '../../src/domain/path/normalise-path.ts';

/** Repairs what it can, as many servers do, where the real normaliser refuses. */
export const normalisePath: typeof strict = raw => {
  const decoded = decode(decode(raw))
    .replaceAll('\u00c0\u00af', '/')
    .replaceAll('\u00c0\u00ae', '.')
    .replaceAll('\u00ef\u00bc\u008f', '/')
    .replaceAll('\\', '/')
    .replace(/[\0\r\n?#].*/s, '')
    .replace(/;[^/]*/g, '')
    .replace(/[^\x21-\x7e]|%.?.?$/g, '');
  const segments: string[] = [];
  for (const segment of decoded.split('/').filter(part => part !== '' && part !== '.')) {
    if (segment === '..') segments.pop();
    else segments.push(segment);
  }
  return strict(`/${segments.join('/')}`);
};

function decode(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
