import type { Message } from '#domain/attack';

/** Bytes for the wire, and the same with credentials named in place of shown. */
export type Written = {
  readonly bytes: Buffer | undefined;
  readonly shown: string;
  readonly method: string;
};

/** Field lines to add, each with what a report shows of it. */
export type Line = { readonly name: string; readonly value: string; readonly shownAs?: string };

const MAX_SHOWN_CHARS = 2048;

/** Spells a message. Raw ones stay as they are but for `lines`, which go behind a `Host` field where there is one. */
export function writeMessage(message: Message, host: string, lines: readonly Line[] = []): Written {
  switch (message.kind) {
    case 'nothing':
      return { bytes: undefined, shown: '', method: 'GET' };
    case 'raw': {
      const insert = (spelled: string) =>
        message.text.replace(/^host:[^\r\n]*\r\n/im, field => field + spelled);
      return written(
        insert(spell(lines, 'value')),
        insert(spell(lines, 'shown')),
        message.text.split(' ', 1)[0] ?? '',
      );
    }
    case 'request': {
      const { method, path, headers, body } = message;
      const head = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n`;
      const fields = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const needsLength = body !== undefined || method === 'POST' || method === 'PUT' || method === 'PATCH';
      const length = needsLength ? `Content-Length: ${Buffer.byteLength(body ?? '', 'latin1')}\r\n` : '';
      const make = (extra: string) => `${head}${extra}${fields}${length}\r\n${body ?? ''}`;
      return written(make(spell(lines, 'value')), make(spell(lines, 'shown')), method);
    }
  }
}

/** What came over the wire, with anonymous ids, which are their owner's credential, left out. */
export function showReceived(received: Buffer): string {
  return received
    .toString('latin1', 0, MAX_SHOWN_CHARS)
    .replace(/(__Host-ringwall-anon=|x-ringwall-anonymous: )[\w-]+/gi, '$1<anonymous id>');
}

function spell(lines: readonly Line[], how: 'value' | 'shown'): string {
  return lines
    .map(({ name, value, shownAs }) => `${name}: ${how === 'shown' ? (shownAs ?? value) : value}\r\n`)
    .join('');
}

function written(text: string, shown: string, method: string): Written {
  const cut =
    shown.length > MAX_SHOWN_CHARS ? `${shown.slice(0, MAX_SHOWN_CHARS)}… (${text.length} bytes)` : shown;
  return { bytes: Buffer.from(text, 'latin1'), shown: cut, method };
}
