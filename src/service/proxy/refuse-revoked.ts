import type { Refusal } from '#domain/policy';
import type { Revoked } from './revocation.ts';

const CALLER_REVOKED: Refusal = { kind: 'refused', reason: 'caller-revoked', nearest: '' };
const CALLEE_REVOKED: Refusal = { kind: 'refused', reason: 'callee-revoked', nearest: '' };

/**
 * Refuses what is revoked at this moment. The policy of the bundle in force does not know of revocations whose bundle
 * could not be put in force; these act all the same.
 */
export function refuseRevoked({ identities }: Revoked, caller: string, callee: string): Refusal | undefined {
  if (identities.has(caller)) return CALLER_REVOKED;
  return identities.has(callee) ? CALLEE_REVOKED : undefined;
}
