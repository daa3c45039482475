/**
 * From the model to one bundle per enforcement point: who may call whom, where each party listens, what is revoked.
 *
 * Pure: addresses come as a `Placement` from whoever runs the system, versions and trust anchors from control.
 * Nothing is added that the model does not say; the gateway's own calls are exactly the edge routes.
 */
export { compile } from './compile.ts';
export type { CompileInput } from './compile.ts';
export { stageNewcomers } from './stage-newcomers.ts';
export type { AgentPlacement, GatewayPlacement, Placement, ServicePlacement } from './placement.ts';
