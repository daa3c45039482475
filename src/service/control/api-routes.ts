import { CodedError } from '#base/error';
import { closed, compileSchema, Type } from '#base/schema';
import { explain } from '#domain/explain';
import type { Control, RolloutOutcome } from './control.ts';

export type ApiCode =
  | 'bad-request'
  | 'not-json'
  | 'body-too-large'
  | 'no-such-route'
  | 'method-not-allowed'
  | 'not-found'
  | 'invalid-model'
  | 'no-model'
  | 'other-trust-domain'
  | 'unknown-service'
  | 'not-revoked'
  | 'no-issuer'
  | 'failed'
  | 'internal';

const STATUS: Readonly<Record<ApiCode, number>> = {
  'bad-request': 400,
  'not-json': 400,
  'body-too-large': 413,
  'no-such-route': 404,
  'method-not-allowed': 405,
  'not-found': 404,
  'invalid-model': 422,
  'no-model': 409,
  'other-trust-domain': 409,
  'unknown-service': 404,
  'not-revoked': 409,
  'no-issuer': 409,
  failed: 500,
  internal: 500,
};

/** An answer of the API other than the result: a problem document (RFC 9457). */
export class ApiProblem extends CodedError<ApiCode> {
  readonly status: number;
  /** Of a model that does not hold. */
  readonly problems: readonly unknown[] | undefined;

  constructor(
    code: ApiCode,
    message: string,
    options?: ErrorOptions & { readonly problems?: readonly unknown[] },
  ) {
    super(code, message, options);
    this.status = STATUS[code];
    this.problems = options?.problems;
  }
}

export type ApiCall = {
  readonly body: unknown;
  readonly id: string;
  readonly query: Readonly<Record<string, string>>;
};

export type Route = {
  readonly method: 'GET' | 'POST';
  /** `*` stands for one segment, handed on as `id`. */
  readonly path: string;
  readonly handle: (call: ApiCall) => unknown;
};

const text = Type.String({ maxLength: 4096 });
const applyBody = compileSchema(
  'request',
  closed({ file: text, directory: text, text: Type.String({ maxLength: 8 * 1024 * 1024 }) }),
);
const serviceBody = compileSchema('request', closed({ service: text }));
const tokenBody = compileSchema(
  'request',
  closed({
    user: Type.String({ minLength: 1, maxLength: 256 }),
    scopes: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 64 }),
    lifetimeSeconds: Type.Optional(Type.Integer({ minimum: -86_400, maximum: 86_400 })),
    audience: Type.Optional(text),
  }),
);
const explainBody = compileSchema(
  'request',
  closed({ caller: text, callee: text, method: text, path: text }),
);
const proofIdentityBody = compileSchema(
  'request',
  closed({
    /** A service of the model, `gateway`, or `edge` for a server certificate of the edge. */
    service: text,
    /** From now; negative is in the past. Default: a minute ago. */
    notBeforeSeconds: Type.Optional(Type.Integer({ minimum: -31_536_000, maximum: 86_400 })),
    /** Default: five minutes. */
    lifetimeSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
  }),
);
const revokeSerialBody = compileSchema(
  'request',
  closed({
    serial: Type.String({ pattern: '^(0|[1-9a-f][0-9a-f]{0,63})$' }),
    untilMs: Type.Integer({ minimum: 0 }),
  }),
);

/** Everything that the API can do. */
export function controlRoutes(control: Control): Route[] {
  return [
    { method: 'GET', path: '/status', handle: () => control.status() },
    {
      method: 'POST',
      path: '/apply',
      handle: async ({ body }) => done(await control.apply(applyBody.check(body))),
    },
    {
      method: 'POST',
      path: '/revoke',
      handle: async ({ body }) => done(await control.revoke(serviceBody.check(body).service)),
    },
    {
      method: 'POST',
      path: '/restore',
      handle: async ({ body }) => done(await control.restore(serviceBody.check(body).service)),
    },
    { method: 'POST', path: '/token', handle: ({ body }) => issueToken(control, tokenBody.check(body)) },
    { method: 'GET', path: '/model', handle: () => control.source ?? missingModel() },
    {
      method: 'GET',
      path: '/bundles',
      handle: () => ({
        bundles: [...control.bundles.values()].map(({ bundle, digest }) => ({ digest, bundle })),
      }),
    },
    {
      method: 'POST',
      path: '/explain',
      handle: ({ body }) => explain(control.model ?? missingModel(), explainBody.check(body)),
    },
    { method: 'GET', path: '/records', handle: ({ query }) => control.keeper.search(query) },
    { method: 'GET', path: '/records/*', handle: async ({ id }) => found(await control.keeper.find(id)) },
    {
      method: 'GET',
      path: '/records/*/proof',
      handle: async ({ id }) => found(await control.keeper.prove(id)),
    },
    {
      method: 'GET',
      path: '/checkpoint',
      handle: async () => ({ checkpoint: await control.keeper.checkpoint() }),
    },
    {
      method: 'POST',
      path: '/proof/identity',
      handle: ({ body }) => control.issueProofIdentity(proofIdentityBody.check(body)),
    },
    {
      method: 'POST',
      path: '/proof/revoke-serial',
      handle: async ({ body }) => done(await control.revokeSerial(revokeSerialBody.check(body))),
    },
  ];
}

/** @throws {ApiProblem} when nothing answers there */
export function findRoute(
  routes: readonly Route[],
  method: string,
  path: string,
): { readonly route: Route; readonly id: string } {
  const segments = path.split('/');
  const here = routes.filter(route => isAt(route.path.split('/'), segments));
  if (here.length === 0) throw new ApiProblem('no-such-route', 'control has nothing under this path');
  const route = here.find(candidate => candidate.method === method);
  if (route === undefined)
    throw new ApiProblem('method-not-allowed', 'control does not answer to this method here');
  return { route, id: decodeSegment(segments[route.path.split('/').indexOf('*')] ?? '') };
}

function isAt(pattern: readonly string[], segments: readonly string[]): boolean {
  return (
    pattern.length === segments.length && pattern.every((part, i) => part === '*' || part === segments[i])
  );
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ApiProblem('bad-request', 'the path is not properly escaped');
  }
}

function done(outcome: RolloutOutcome): unknown {
  switch (outcome.kind) {
    case 'done':
      return outcome;
    case 'invalid':
      throw new ApiProblem('invalid-model', 'the model does not hold; nothing was changed', {
        problems: outcome.problems,
      });
    case 'refused':
      throw new ApiProblem(outcome.reason, outcome.message);
  }
}

/** Answers as a token endpoint does (RFC 6749 §5.1). */
async function issueToken(control: Control, request: ReturnType<typeof tokenBody.check>): Promise<unknown> {
  const issued = await control.issueToken(request);
  if (issued === undefined) {
    throw new ApiProblem(
      'no-issuer',
      'the model has no local issuer, and only that one can be asked for tokens here',
    );
  }
  const { accessToken, expiresInSeconds, scope } = issued;
  return { access_token: accessToken, token_type: 'Bearer', expires_in: expiresInSeconds, scope };
}

function missingModel(): never {
  throw new ApiProblem('no-model', 'no model is applied yet');
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new ApiProblem('not-found', 'there is no such record');
  return value;
}
