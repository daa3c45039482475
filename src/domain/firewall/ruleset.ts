/** One nftables table of family inet. */
export type Ruleset = {
  readonly table: string;
  /** A chain comes after those that it jumps to. */
  readonly chains: readonly Chain[];
};

export type Hook = 'input' | 'output' | 'forward';

export type Chain = {
  readonly name: string;
  /** Base chains hang on a hook of the kernel; others are only jumped to. */
  readonly base: { readonly hook: Hook; readonly policy: 'accept' | 'drop' } | undefined;
  /** Looked up before the rules, in constant time: the chain for each incoming or outgoing interface. */
  readonly dispatch: { readonly by: 'in' | 'out'; readonly chains: ReadonlyMap<string, string> } | undefined;
  readonly rules: readonly Rule[];
};

/** The first rule that matches decides. */
export type Rule = { readonly match: Match; readonly verdict: Verdict; readonly comment?: string };

/** All that is given must hold; an empty match always holds. */
export type Match = {
  /** Name, or a prefix when it ends in `*`. */
  readonly inInterface?: string;
  readonly outInterface?: string;
  /** Packets of a connection that was accepted in its first packet. */
  readonly established?: true;
  readonly source?: string;
  readonly destination?: string;
  readonly tcpPort?: number;
  /** The user whose process sends it; only known where packets leave the machine that they are made on. */
  readonly ownerUid?: number;
};

export type Verdict = 'accept' | 'drop';
