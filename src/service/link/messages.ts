import { closed, compileSchema, Type, type Static } from '#base/schema';
import { envelopeType as envelope } from '#domain/dsse';

/** Of the messages below. An end that meets another version breaks off. */
export const PROTOCOL = 1;

/** The gateway's server certificate for the hosts of the edge goes by this name: DNS names, no SPIFFE ID. */
export const EDGE_IDENTITY = 'edge';

const protocol = Type.Literal(PROTOCOL);
const count = Type.Integer({ minimum: 0 });
/** Of a bundle; 0 stands for none. */
const version = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const digest = Type.String({ maxLength: 128 });
const name = Type.String({ minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$' });
const identity = Type.String({ minLength: 1, maxLength: 2048 });
const words = Type.String({ maxLength: 1024 });
const pem = Type.String({ maxLength: 32_768 });
const requestPem = Type.String({ maxLength: 4096 });

const enrol = closed({
  kind: Type.Literal('enrol'),
  protocol,
  name,
  token: Type.String({ maxLength: 256 }),
  /** Certificate request for the point's own identity, PEM. */
  request: requestPem,
});

/** The one message that a peer without a certificate may send. */
export const enrolSchema = compileSchema('enrolment', enrol);
export type EnrolMessage = Static<typeof enrol>;

const pointMessage = Type.Union([
  closed({
    kind: Type.Literal('hello'),
    protocol,
    /** In force, and kept on the point's disk. */
    appliedVersion: version,
    appliedDigest: digest,
    /** The newest that control ever gave it, in force or not: it takes no older one. */
    newestVersion: version,
    newestDigest: digest,
  }),
  closed({
    kind: Type.Literal('applied'),
    version,
    digest,
    tookMs: Type.Number({ minimum: 0 }),
  }),
  closed({
    kind: Type.Literal('rejected'),
    version,
    fault: Type.String({ maxLength: 64 }),
    message: words,
  }),
  /** Answers `show`; without an envelope when the point has lost it. */
  closed({ kind: Type.Literal('shown'), envelope: Type.Union([envelope, Type.Null()]) }),
  /** Asks for a certificate under a SPIFFE ID or `EDGE_IDENTITY`; `id` comes back with the answer. */
  closed({ kind: Type.Literal('certify'), id: count, identity, request: requestPem }),
  closed({
    kind: Type.Literal('records'),
    epoch: Type.String({ maxLength: 128 }),
    firstSeq: count,
    lines: Type.Array(Type.String({ maxLength: 65_536 }), { minItems: 1, maxItems: 4096 }),
  }),
  closed({
    kind: Type.Literal('health'),
    /** Records that control does not have yet. */
    recordsBehind: count,
    /** Whether records reach the point's disk. */
    journalHealthy: Type.Boolean(),
    /** Of the first of the point's certificates to expire; 0 without any. */
    certificateNotAfterMs: count,
  }),
]);

/** What an enrolled point says. */
export type PointMessage = Static<typeof pointMessage>;
export const pointMessageSchema = compileSchema('message of a point', pointMessage);

const controlMessage = Type.Union([
  closed({
    kind: Type.Literal('enrolled'),
    pointKind: Type.Union([Type.Literal('gateway'), Type.Literal('agent')]),
    trustDomain: Type.String({ maxLength: 255 }),
    identity,
    certificateChain: pem,
    notAfterMs: count,
    /** Ed25519 public key that signs bundles, SubjectPublicKeyInfo in base64. */
    bundleKey: Type.String({ maxLength: 1024 }),
  }),
  closed({ kind: Type.Literal('enrolment-refused'), message: words }),
  closed({ kind: Type.Literal('bundle'), version, envelope }),
  /** Asks for the newest bundle that the point was ever given, as control signed it. */
  closed({ kind: Type.Literal('show') }),
  closed({ kind: Type.Literal('certificate'), id: count, certificateChain: pem, notAfterMs: count }),
  closed({
    kind: Type.Literal('certificate-refused'),
    id: count,
    reason: Type.Union([
      Type.Literal('revoked'),
      Type.Literal('not-entitled'),
      Type.Literal('bad-request'),
      Type.Literal('failed'),
    ]),
  }),
  /** Everything of this epoch up to and including `seq` is in the ledger. */
  closed({ kind: Type.Literal('recorded'), epoch: Type.String({ maxLength: 128 }), seq: count }),
  /** The ledger did not take the batch; the point keeps it and tries again. */
  closed({ kind: Type.Literal('not-recorded'), epoch: Type.String({ maxLength: 128 }), firstSeq: count }),
  closed({ kind: Type.Literal('ping') }),
]);

/** What control says. */
export type ControlMessage = Static<typeof controlMessage>;
export const controlMessageSchema = compileSchema('message of control', controlMessage);
