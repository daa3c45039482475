import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { CodedError, hasCode, quote } from '#base/error';
import { compileSchema, Type, type Static } from '#base/schema';

/** `not-running`: nothing answers on the socket; `refused`: control answered with a problem. */
export class ControlError extends CodedError<
  'not-running' | 'not-permitted' | 'refused' | 'bad-answer' | 'timeout' | 'too-large'
> {
  /** What control said, when it said something. */
  readonly problem: ControlProblem | undefined;

  constructor(
    code: ControlError['code'],
    message: string,
    options?: ErrorOptions & { readonly problem?: ControlProblem },
  ) {
    super(code, message, options);
    this.problem = options?.problem;
  }
}

/** `application/problem+json` (RFC 9457); `code` is stable, `problems` are those of a model that does not hold. */
const problem = Type.Object({
  title: Type.String(),
  status: Type.Integer(),
  code: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
  problems: Type.Optional(Type.Array(Type.Unknown())),
});
export type ControlProblem = Static<typeof problem>;
const problemSchema = compileSchema('answer of control', problem);

export type ControlMethod = 'GET' | 'POST';

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/** The Unix socket on which control of this state directory answers. */
export function controlSocketPath(stateDir: string): string {
  return join(stateDir, 'control.sock');
}

/**
 * Asks the control plane that runs on `stateDir`. Both ends are of one release, so that the answer's type is the
 * caller's claim.
 *
 * @param path with its query: `/records?service=payment`
 * @throws {ControlError}
 */
export async function callControl<Answer>(
  stateDir: string,
  method: ControlMethod,
  path: string,
  body?: unknown,
  options: { readonly timeoutMs?: number } = {},
): Promise<Answer> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const { status, text } = await exchange(stateDir, method, path, body, timeoutMs);
  const answer = parseAnswer(text);
  if (status >= 200 && status < 300) return answer as Answer;
  if (!problemSchema.is(answer))
    throw new ControlError('bad-answer', `control answered ${status} without a reason`);
  throw new ControlError('refused', answer.detail ?? answer.title, { problem: answer });
}

function exchange(
  stateDir: string,
  method: ControlMethod,
  path: string,
  body: unknown,
  timeoutMs: number,
): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const outgoing = request(
    {
      socketPath: controlSocketPath(stateDir),
      method,
      path,
      headers: {
        // The socket has no name of its own; control refuses every other host, so that no web page can reach it.
        host: 'control',
        ...(payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
      },
    },
    answer => {
      readAll(answer).then(text => resolve({ status: answer.statusCode ?? 0, text }), reject);
    },
  );
  const timer = setTimeout(() => {
    const error = new ControlError('timeout', `control did not answer within ${timeoutMs / 1000} s`);
    outgoing.destroy(error);
    reject(error);
  }, timeoutMs);
  outgoing.on('error', error => reject(explain(error, stateDir)));
  outgoing.end(payload);
  return promise.finally(() => clearTimeout(timer));
}

async function readAll(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES) throw new ControlError('too-large', 'the answer of control is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ControlError('bad-answer', 'control did not answer in JSON', { cause: error });
  }
}

function explain(error: Error, stateDir: string): Error {
  if (error instanceof ControlError) return error;
  if (['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR'].some(code => hasCode(error, code))) {
    return new ControlError('not-running', `no control plane runs on ${quote(stateDir)}`, { cause: error });
  }
  if (hasCode(error, 'EACCES') || hasCode(error, 'EPERM')) {
    return new ControlError('not-permitted', `this user may not speak to control on ${quote(stateDir)}`, {
      cause: error,
    });
  }
  return new ControlError('bad-answer', `control broke off: ${error.message}`, { cause: error });
}
