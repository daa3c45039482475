/** An HTTP answer as far as an attacker needs to read it. */
export type Answer = {
  readonly status: number;
  /** By lower-case name; the last of a name wins. */
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
  /** Octets that it took. */
  readonly length: number;
};

/**
 * Reads the first final answer, leniently: what no client should accept must be seen all the same.
 *
 * @param ended whether the other side has closed, so that what is there is all
 * @returns `undefined` as long as it is not whole
 */
export function readAnswer(bytes: Buffer, method: string, ended: boolean): Answer | undefined {
  const text = bytes.toString('latin1');
  if (!text.startsWith('HTTP/')) {
    // Not HTTP/1: an echo, or HTTP/0.9.
    return text.length > 0 && (ended || !'HTTP/'.startsWith(text.slice(0, 5)))
      ? { status: 0, fields: {}, body: text, length: text.length }
      : undefined;
  }
  let start = 0;
  for (;;) {
    const end = text.indexOf('\r\n\r\n', start);
    if (end === -1) return ended && start === 0 ? partial(text) : undefined;
    const [line = '', ...rest] = text.slice(start, end).split('\r\n');
    const status = Number(line.split(' ')[1]);
    const fields = Object.fromEntries(
      rest.map(field => [
        field.slice(0, field.indexOf(':')).toLowerCase(),
        field.slice(field.indexOf(':') + 1).trim(),
      ]),
    );
    start = end + 4;
    if (status >= 100 && status < 200) continue;
    if (method === 'HEAD' || status === 204 || status === 304)
      return { status, fields, body: '', length: start };
    const whole = readBody(text, start, fields, ended);
    return whole === undefined ? undefined : { status, fields, ...whole };
  }
}

function readBody(
  text: string,
  start: number,
  fields: Readonly<Record<string, string>>,
  ended: boolean,
): { readonly body: string; readonly length: number } | undefined {
  if (fields['transfer-encoding'] === 'chunked') {
    const end = text.indexOf('\r\n0\r\n', start - 2);
    if (end === -1) return ended ? { body: text.slice(start), length: text.length } : undefined;
    // The chunk lines stay in: the body is only shown.
    return { body: text.slice(start, end), length: end + 7 };
  }
  const declared = fields['content-length'];
  if (declared === undefined) return ended ? { body: text.slice(start), length: text.length } : undefined;
  const length = start + Number(declared);
  if (text.length < length && !ended) return undefined;
  return { body: text.slice(start, length), length };
}

function partial(text: string): Answer | undefined {
  const status = Number(text.split(' ', 2)[1]);
  return Number.isInteger(status) && status >= 200
    ? { status, fields: {}, body: '', length: text.length }
    : undefined;
}
