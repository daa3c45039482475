import { isJsonObject, member, parseStrictJson } from '#domain/jwt';

const MAX_ACCOUNT_CHARS = 256;
const MAX_DEPTH = 32;
const MAX_BODY_BYTES = 1024 * 1024;

/**
 * Reads which account a sign-in request is about, so that failures can be counted per account.
 *
 * Understands `application/json` and `application/x-www-form-urlencoded` in UTF-8. Gives `undefined` whenever the
 * service behind could read another account than we do: a field that is missing, there twice, or not a text; a body in
 * another type, charset or coding. A caller who counts per account must then refuse the request.
 *
 * Spellings that services commonly treat as the same are made one: NFKC, trimmed, lower case.
 *
 * @param field the name of the form field or of the top-level JSON member
 */
export function accountOf(body: Buffer, contentType: string | undefined, field: string): string | undefined {
  if (contentType === undefined || body.byteLength > MAX_BODY_BYTES) return undefined;
  const type = readMediaType(contentType);
  const text = type === undefined ? undefined : decodeUtf8(body);
  if (text === undefined) return undefined;
  const account = type === 'form' ? fromForm(text, field) : fromJson(text, field);
  return account === undefined ? undefined : normalise(account);
}

function readMediaType(contentType: string): 'json' | 'form' | undefined {
  const [type = '', ...parameters] = contentType
    .toLowerCase()
    .split(';')
    .map(part => part.trim());
  const charset = parameters.find(parameter => parameter.startsWith('charset='));
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) return undefined;
  switch (type) {
    case 'application/json':
      return 'json';
    case 'application/x-www-form-urlencoded':
      return 'form';
    default:
      return undefined;
  }
}

function decodeUtf8(body: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}

function fromJson(text: string, field: string): string | undefined {
  const json = parseStrictJson(text, MAX_DEPTH);
  if (json.kind === 'refused' || !isJsonObject(json.value)) return undefined;
  const value = member(json.value, field);
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  return typeof value === 'string' ? value : undefined;
}

function fromForm(text: string, field: string): string | undefined {
  const values = new URLSearchParams(text).getAll(field);
  return values.length === 1 ? values[0] : undefined;
}

function normalise(account: string): string | undefined {
  if (account.length > MAX_ACCOUNT_CHARS) return undefined;
  const normal = account.normalize('NFKC').trim().toLowerCase();
  return normal === '' || normal.length > MAX_ACCOUNT_CHARS ? undefined : normal;
}
