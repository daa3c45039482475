/** A ring's name and the sentence that is true when it holds, from the outside in. */
export const RINGS = {
  edge: 'only declared routes answer; there is one way in',
  transport: 'every hop is TLS 1.2+ from outside and mTLS between services; plaintext is refused',
  authentication: 'every caller is known',
  rate: 'each caller is limited; floods and brute force are refused early',
  vetting: 'requests have the declared shape; ambiguous HTTP is refused',
  authorization: 'the call is in the model',
  network: 'packets between undeclared pairs are dropped, whatever the applications do',
  data: 'secrets and declared sensitive fields are sealed at rest; keys rotate',
  supply: 'images are signed, scanned, hardened and up to date',
  audit: 'every transaction is in the ledger',
  detection: 'an attack raises an incident that names the actor, the stage and the evidence',
} as const satisfies Readonly<Record<string, string>>;

export type Ring = keyof typeof RINGS;

/** How sensitive a service's data is, least first. */
export const CLASSIFICATIONS = ['public', 'internal', 'confidential', 'restricted'] as const;
export type Classification = (typeof CLASSIFICATIONS)[number];

/** What is known of one ring at one service. Only `proven` is green. */
export const CELL_STATES = {
  proven: 'attacked within the proof window, and it held',
  declared: 'configured, but not attacked within the window',
  missing: 'required by the classification, not configured',
  broken: 'an attack got through',
  unknown: 'could not be checked',
} as const satisfies Readonly<Record<string, string>>;
export type CellState = keyof typeof CELL_STATES;

const ALWAYS = ['edge', 'transport', 'authentication', 'rate', 'vetting', 'authorization', 'audit'] as const;

/** The rings that a service of this classification must have. */
export function ringsRequired(data: Classification): readonly Ring[] {
  switch (data) {
    case 'public':
      return ALWAYS;
    case 'internal':
      return [...ALWAYS, 'network'];
    case 'confidential':
    case 'restricted':
      return [...ALWAYS, 'network', 'data', 'supply', 'detection'];
  }
}
