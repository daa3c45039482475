import { FIELDS } from './fields.ts';

/** What a Connection field says (RFC 9110 §7.6.1). */
export type ConnectionOptions = {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** The other options: names of fields that end at this hop. */
  readonly names: readonly string[];
};

const NONE: ConnectionOptions = { close: false, keepAlive: false, upgrade: false, names: [] };
const CLOSE: ConnectionOptions = { close: true, keepAlive: false, upgrade: false, names: [] };
const KEEP_ALIVE: ConnectionOptions = { close: false, keepAlive: true, upgrade: false, names: [] };

/** Reads a Connection field; `undefined` where it is not a list of tokens, or names a field that is not of this hop. */
export function readConnection(value: string | undefined): ConnectionOptions | undefined {
  if (value === undefined) return NONE;
  if (value === 'keep-alive') return KEEP_ALIVE;
  if (value === 'close') return CLOSE;

  let close = false;
  let keepAlive = false;
  let upgrade = false;
  const names: string[] = [];
  for (const element of value.split(',')) {
    const option = element.trim().toLowerCase();
    if (option === '') continue; // RFC 9110 §5.6.1.2: empty elements are ignored
    if (!OPTION.test(option)) return undefined;
    // Removing Host, Authorization or Content-Type at our word would make the service decide on another request.
    const field = FIELDS.get(option);
    if (field !== undefined && field.single && field.drop !== 'hop-by-hop') return undefined;
    if (option === 'close') close = true;
    else if (option === 'keep-alive') keepAlive = true;
    else if (option === 'upgrade') upgrade = true;
    else names.push(option);
  }
  return { close, keepAlive, upgrade, names };
}

const OPTION = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
