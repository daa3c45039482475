import type { Chain, Match, Rule, Ruleset } from './ruleset.ts';

// nft allows 128 bytes.
const MAX_COMMENT_LENGTH = 120;

/** The text for `nft -f`: replaces the table as a whole, in one transaction. */
export function renderRuleset({ table, chains }: Ruleset): string {
  // Adding first makes the deletion succeed whether or not the table was there.
  return [
    `add table inet ${nameOf(table)}`,
    `delete table inet ${nameOf(table)}`,
    `table inet ${nameOf(table)} {`,
    chains.map(renderChain).join('\n\n'),
    '}',
    '',
  ].join('\n');
}

/** The text for `nft -f` that removes the table, whether or not it is there. */
export function renderRemoval(table: string): string {
  return `add table inet ${nameOf(table)}\ndelete table inet ${nameOf(table)}\n`;
}

function renderChain({ name, base, dispatch, rules }: Chain): string {
  const lines: string[] = [];
  if (base !== undefined) {
    lines.push(`type filter hook ${base.hook} priority filter; policy ${base.policy};`);
  }
  if (dispatch !== undefined && dispatch.chains.size > 0) {
    const jumps = [...dispatch.chains].map(([link, chain]) => `"${nameOf(link)}" : jump ${nameOf(chain)}`);
    lines.push(`${dispatch.by === 'in' ? 'iifname' : 'oifname'} vmap { ${jumps.join(', ')} }`);
  }
  lines.push(...rules.map(renderRule));
  return [`  chain ${nameOf(name)} {`, ...lines.map(line => `    ${line}`), '  }'].join('\n');
}

function renderRule({ match, verdict, comment }: Rule): string {
  const words = renderMatch(match);
  words.push(verdict === 'drop' ? 'counter drop' : verdict);
  if (comment !== undefined) words.push(`comment "${commentOf(comment)}"`);
  return words.join(' ');
}

function renderMatch(match: Match): string[] {
  const words: string[] = [];
  if (match.inInterface !== undefined) words.push(`iifname "${nameOf(match.inInterface)}"`);
  if (match.outInterface !== undefined) words.push(`oifname "${nameOf(match.outInterface)}"`);
  if (match.established === true) words.push('ct state established');
  if (match.source !== undefined) words.push(`ip saddr ${addressOf(match.source)}`);
  if (match.destination !== undefined) words.push(`ip daddr ${addressOf(match.destination)}`);
  if (match.tcpPort !== undefined) words.push(`tcp dport ${portOf(match.tcpPort)}`);
  if (match.ownerUid !== undefined) words.push(`meta skuid ${uidOf(match.ownerUid)}`);
  return words;
}

// INVARIANT: nothing reaches the text that could end a token, a line or a block: it is run with the kernel's full trust.
function nameOf(name: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_-]*\*?$/.test(name)) throw new RangeError('a name is not fit for a ruleset');
  return name;
}

function addressOf(address: string): string {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) throw new RangeError('an address is not fit for a ruleset');
  return address;
}

function portOf(port: number): string {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new RangeError('a port is not fit for a ruleset');
  return String(port);
}

function uidOf(uid: number): string {
  if (!Number.isInteger(uid) || uid < 0 || uid >= 2 ** 32 - 1)
    throw new RangeError('a user is not fit for a ruleset');
  return String(uid);
}

function commentOf(text: string): string {
  return text.replace(/[^A-Za-z0-9 ._:/-]/g, '_').slice(0, MAX_COMMENT_LENGTH);
}
