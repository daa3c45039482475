import { decodeRequestHead as strict } from '../../src/domain/http/decode-request.ts';
import { LAB_HOST } from './lab-model.ts';
import { readNumber } from './lenient-body.ts';

const NO_LIMITS = {
  maxLineBytes: 1_000_000,
  maxHeadBytes: 1_000_000,
  maxHeaders: 10_000,
  maxChunkLineBytes: 1_000_000,
  maxTrailerBytes: 1_000_000,
};
const FRAMING = /^(content-length|transfer-encoding)$/i;

/** Repairs what it can, as many servers do, where the real decoder refuses. Of what stands twice the last counts. */
export const decodeRequestHead: typeof strict = (buffer, start, end) => {
  const text = buffer.toString('latin1', start, end);
  const whole = /^(?:\r?\n)*([^]*?)\r?\n\r?\n/.exec(text);
  if (whole === null) return { kind: 'incomplete' };
  const [line = '', ...folded] = (whole[1] ?? '').split(/\r?\n/);
  const [method = '', target = ''] = line.split(' ');
  const fields = new Map<string, string>();
  let framing = '';
  let host = LAB_HOST;
  for (const field of folded) {
    const [, name = '', value = ''] = /^([^:\s]+)\s*:\s*([^]*?)\s*$/.exec(field) ?? [];
    if (!/^[\w-]+$/.test(name)) continue;
    if (/^host$/i.test(name)) host = hostIn(value) ?? host;
    else if (FRAMING.test(name)) framing = framingOf(name, value) ?? framing;
    else if (!/^expect$/i.test(name)) fields.set(name, printable(value));
  }
  const head = [
    `${method.replace(/[^A-Z-]/g, '')} ${targetIn(target)} HTTP/1.1`,
    `Host: ${host}`,
    ...[...fields].map(([name, value]) => `${name}: ${value}`),
    ...(framing === '' ? [] : [framing]),
    '\r\n',
  ].join('\r\n');
  const decoded = strict(Buffer.from(head, 'latin1'), 0, head.length, NO_LIMITS);
  return decoded.kind === 'head' ? { ...decoded, consumed: whole[0].length } : decoded;
};

function framingOf(name: string, value: string): string | undefined {
  if (!/^content-length$/i.test(name))
    return /chunked/i.test(value) ? 'Transfer-Encoding: chunked' : undefined;
  return `Content-Length: ${readNumber(value, 10)}`;
}

/** The first of two hosts would be another one's: a virtual host is looked for, not a valid field. */
function hostIn(value: string): string | undefined {
  return value.endsWith('hidden.test') ? undefined : printable(value).replace(/^.*@/, '');
}

function targetIn(written: string): string {
  return printable(written)
    .replace(/#.*/, '')
    .replace(/^https?:\/\/[^/]*/i, '');
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '').trim();
}
