import { resolve } from 'node:path';
import { Command } from 'commander';
import { assertNever } from '#base/error';
import { compileSchema, Type } from '#base/schema';
import { callControl, ControlError } from '#service/control-client';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

type Options = {
  readonly user: string;
  readonly scope: readonly string[];
  readonly state: string;
  readonly json?: true;
};

/** The token endpoint's answer (RFC 6749 §5.1). */
const issued = compileSchema(
  'token of control',
  Type.Object({
    access_token: Type.String({ minLength: 1 }),
    token_type: Type.String(),
    expires_in: Type.Integer(),
    scope: Type.String(),
  }),
);

/** `ringwall token --user NAME`: an access token of the built-in issuer, for trying out what a user may do. */
export function tokenCommand(io: Io, finish: Finish): Command {
  return new Command('token')
    .description('get an access token from the built-in issuer of a running `ringwall up`')
    .requiredOption('--user <name>', 'whom the token names (its `sub`)')
    .option('--scope <scope...>', 'what it permits', [])
    .option('--state <dir>', 'the state directory of the running system', '.ringwall')
    .option('--json', 'print the token with its type, lifetime and scope as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall token --user alice
  ringwall token --user alice --scope cart orders
  curl --cacert .ringwall/ca.pem -H "Authorization: Bearer $(ringwall token --user alice --scope cart)" https://shop.localhost:4443/cart

The token goes to the standard output, alone on its line. It is a credential: keep it out of files and logs.
Exits 69 when nothing runs on the state directory.`,
    )
    .action(async (options: Options) => finish(await printToken(io, options)));
}

async function printToken(io: Io, options: Options): Promise<ExitCode> {
  const stateDir = resolve(io.cwd, options.state);
  const scopes = options.scope.flatMap(scope => scope.split(' ')).filter(scope => scope !== '');
  try {
    const token = issued.check(await callControl(stateDir, 'POST', '/token', { user: options.user, scopes }));
    io.out(options.json === true ? `${JSON.stringify(token, null, 2)}\n` : `${token.access_token}\n`);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    io.err(`ringwall: ${error.message}\n`);
    return exitCodeOf(error);
  }
}

function exitCodeOf(error: ControlError): ExitCode {
  switch (error.code) {
    case 'not-running':
    case 'not-permitted':
    case 'timeout':
      return EXIT.unavailable;
    case 'refused':
      return error.problem?.status === 400 ? EXIT.usage : EXIT.negative;
    case 'bad-answer':
    case 'too-large':
      return EXIT.internal;
    default:
      return assertNever(error.code);
  }
}
