/**
 * Bundles: what control compiles from the model for one enforcement point. Data only, and all that a point needs to
 * decide. A bundle travels in a DSSE envelope signed by control; its digest (SHA-256 of the payload) is its name.
 */
export { bundleSchema } from './bundle.ts';
export type {
  Address,
  AgentBundle,
  AgentService,
  Bundle,
  BundleCall,
  BundleHost,
  BundleIssuer,
  BundleRoute,
  Caller,
  EgressTarget,
  GatewayBundle,
  OutboundTarget,
  Revocations,
  SourcePosition,
  Upstream,
} from './bundle.ts';
