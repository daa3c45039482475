import type { Attack } from './attack.ts';
import { AUDIT_ATTACKS } from './audit-attacks.ts';
import { AUTHENTICATION_ATTACKS } from './authentication-attacks.ts';
import { AUTHORIZATION_ATTACKS } from './authorization-attacks.ts';
import { EDGE_ATTACKS } from './edge-attacks.ts';
import { FRAMING_ATTACKS } from './framing-attacks.ts';
import { NETWORK_ATTACKS } from './network-attacks.ts';
import { PATH_ATTACKS } from './path-attacks.ts';
import { RATE_ATTACKS } from './rate-attacks.ts';
import { TRANSPORT_ATTACKS } from './transport-attacks.ts';

/** Every attack, ring by ring from the outside in. */
export const CATALOGUE: readonly Attack[] = [
  ...EDGE_ATTACKS,
  ...TRANSPORT_ATTACKS,
  ...AUTHENTICATION_ATTACKS,
  ...RATE_ATTACKS,
  ...FRAMING_ATTACKS,
  ...PATH_ATTACKS,
  ...AUTHORIZATION_ATTACKS,
  ...NETWORK_ATTACKS,
  ...AUDIT_ATTACKS,
];
