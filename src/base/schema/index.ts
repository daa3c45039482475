/**
 * Shapes of untrusted JSON: one TypeBox description serves as static type, as check and as published JSON Schema.
 *
 * Objects are closed: unknown keys are errors. `compileSchema` gives the only way by which JSON from a file or a peer
 * becomes a typed value.
 */
export { Type } from 'typebox';
export type { Static, TSchema } from 'typebox';
export { closed, compileSchema, SchemaError } from './schema.ts';
export type { Schema } from './schema.ts';
