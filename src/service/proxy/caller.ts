import { FieldLines } from '#domain/http';
import type { HeaderLine } from '#domain/limit';
import type { CallerFacts } from '#domain/policy';
import type { Peer } from './peer.ts';

type ClientKind = 'anonymous' | 'user' | 'application' | 'service';

/** The facts that a verified token gives (`UserIdentity` of `#service/identity`). */
export type VerifiedUser = {
  readonly issuer: string;
  readonly subject: string;
  readonly clientId: string;
  readonly scopes: ReadonlySet<string>;
};

const ANONYMOUS: CallerFacts = { kind: 'anonymous' };
const APPLICATION: CallerFacts = { kind: 'application' };

/**
 * Shows that it is known who asks. Made from a verified token, a verified peer or an anonymous id, or from the listener
 * that only one service can reach; and made once per identity, with the header fields that tell of it.
 */
export class Caller {
  readonly kind: ClientKind;
  /** Anonymous id, `issuer|subject`, or SPIFFE ID. */
  readonly id: string;
  /** Whether a token speaks for it. */
  readonly hasToken: boolean;
  /** SPIFFE ID of the calling service; empty at the edge. */
  readonly identity: string;
  /** For route authorization at the edge. */
  readonly facts: CallerFacts;
  /** What the callee is told. */
  readonly lines: FieldLines;

  private constructor(caller: Pick<Caller, 'kind' | 'id' | 'hasToken' | 'identity' | 'facts' | 'lines'>) {
    this.kind = caller.kind;
    this.id = caller.id;
    this.hasToken = caller.hasToken;
    this.identity = caller.identity;
    this.facts = caller.facts;
    this.lines = caller.lines;
  }

  static anonymous(id: string): Caller {
    const lines = FieldLines.of(['x-ringwall-client', `anonymous:${fieldText(id)}`]);
    return new Caller({ kind: 'anonymous', id, hasToken: false, identity: '', facts: ANONYMOUS, lines });
  }

  static user(user: VerifiedUser): Caller {
    const { issuer, subject, scopes } = user;
    const id = `${issuer}|${subject}`;
    // RFC 9068 §2.2: without a resource owner, `sub` is the client itself.
    const kind = subject === user.clientId ? 'application' : 'user';
    const fields: HeaderLine[] = [
      ['x-ringwall-client', `${kind}:${fieldText(id)}`],
      ['x-ringwall-user', fieldText(subject)],
      ['x-ringwall-issuer', fieldText(issuer)],
    ];
    if (scopes.size > 0) fields.push(['x-ringwall-scopes', fieldText([...scopes].join(' '))]);
    const facts: CallerFacts = kind === 'user' ? { kind, scopes } : APPLICATION;
    return new Caller({ kind, id, hasToken: true, identity: '', facts, lines: FieldLines.of(...fields) });
  }

  static peer(peer: Peer): Caller {
    return Caller.ownService(peer.identity);
  }

  /** @param identity of the one service that can reach the listener on which the call came in */
  static ownService(identity: string): Caller {
    const lines = FieldLines.of(['x-ringwall-caller', identity]);
    return new Caller({ kind: 'service', id: identity, hasToken: false, identity, facts: ANONYMOUS, lines });
  }
}

/** Percent-encodes what a header field cannot hold, and `%` itself, so that the encoding can be undone. */
function fieldText(text: string): string {
  return text.replace(/[^\x21-\x24\x26-\x7e ]|^ | $/gu, unit => {
    const bytes = Buffer.from(unit, 'utf8');
    return [...bytes].map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
  });
}
