import { entriesOf, linesOf, type HeaderList } from './header-list.ts';

/**
 * The fields of a message as HTTP/2 writes them (RFC 9113 §8.2), in the order of the wire: without those of the hop, which
 * it frames by itself.
 *
 * @param withLength whether Content-Length is said: with content, and where it tells of content that is left out
 */
export function http2Fields(
  headers: HeaderList,
  withLength: boolean,
): readonly (readonly [name: string, value: string])[] {
  const fields: (readonly [string, string])[] = [];
  for (const { name, value, field } of entriesOf(headers)) {
    if (field?.isFraming !== true || (withLength && name === 'content-length')) fields.push([name, value]);
  }
  // Each line begins with the end of the one before it, and holds no other: they were checked when they were made.
  for (const line of linesOf(headers).split('\r\n').slice(1)) {
    const colon = line.indexOf(': ');
    fields.push([line.slice(0, colon), line.slice(colon + 2)]);
  }
  return fields;
}
