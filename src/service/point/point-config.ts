import { closed, compileSchema, Type, type Static } from '#base/schema';

const config = closed({
  /** The point's name in the placement: `gateway`, `agent`. */
  name: Type.String({ minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$' }),
  /** Where control listens for points. */
  control: closed({
    host: Type.String({ maxLength: 255 }),
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
  }),
  /** PEM certificates of the trust domain's roots: control is authenticated against them. */
  trustAnchors: Type.Array(Type.String({ maxLength: 16_384 }), { minItems: 1, maxItems: 16 }),
  /** Spent at the first enrolment; a point that still holds a valid identity does not need it. */
  joinToken: Type.String({ maxLength: 256 }),
  /** Where the point keeps its sealed identities and its last good bundle. */
  stateDir: Type.String({ minLength: 1, maxLength: 4096 }),
});

/** What a point's process is started with: one JSON line on its standard input. */
export type PointConfig = Static<typeof config>;

export const pointConfigSchema = compileSchema('point configuration', config);
