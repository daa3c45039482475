import { Command } from 'commander';
import { assertNever, quote } from '#base/error';
import { explain, type Explanation } from '#domain/explain';
import { describeRule } from './describe-rule.ts';
import { explainRequest } from './explain-request.ts';
import type { Finish } from './finish.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { loadModel } from './load-model.ts';
import { paint } from './paint.ts';

type Options = {
  readonly model: string;
  readonly request?: string;
  readonly state: string;
  readonly json?: true;
};

/** `ringwall explain CALLER CALLEE METHOD PATH`: allowed or refused, and by which line of the model. */
export function explainCommand(io: Io, finish: Finish): Command {
  return new Command('explain')
    .description('say whether a call is allowed, by which line of the model, and what came nearest')
    .argument('[caller]', 'a service, or `outside`')
    .argument('[callee]', 'a service, or a URL outside; from outside a host as well')
    .argument('[method]', 'GET, POST, …; `connect` for a TCP service; not needed with a URL')
    .argument('[path]', 'path of the request', '/')
    .option('--model <file>', 'the model to ask', 'ringwall.yaml')
    .option('--request <id>', 'explain a request that was made, by its x-request-id')
    .option('--state <dir>', 'with --request: the state directory of the running system', '.ringwall')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ringwall explain frontend catalog GET /products/7
  ringwall explain outside shop.localhost POST /login
  ringwall explain payment https://bank.example
  ringwall explain catalog payment POST /charges --model ringwall.yaml
  ringwall explain --request 1b4e28ba-2fa1-4d2b-883f-0016d3cca427

Exits 0 when the call is allowed, 1 when it is refused, 64 for a name that the model does not know; with --request 2
when there is no record of it.`,
    )
    .action(async (...given: [string?, string?, string?, string?, Options?]) => {
      const [caller, callee, verb, path = '/', options] = given;
      const method = verb ?? (callee?.includes('://') === true ? 'GET' : undefined);
      if (options?.request !== undefined) {
        const { json, request, state } = options;
        return finish(await explainRequest(io, request, { state, json: json === true }));
      }
      if (options === undefined || caller === undefined || callee === undefined || method === undefined) {
        io.err('ringwall: explain needs CALLER CALLEE METHOD [PATH], or --request ID\n');
        return finish(EXIT.usage);
      }
      const loaded = await loadModel(io, options.model);
      if (loaded.kind === 'failed') return finish(loaded.code);
      const answer = explain(loaded.model, { caller, callee, method, path });
      if (options.json === true) io.out(`${JSON.stringify(answer, null, 2)}\n`);
      else print(io, answer);
      return finish(exitCodeOf(answer));
    });
}

function exitCodeOf(answer: Explanation): ExitCode {
  switch (answer.kind) {
    case 'allowed':
      return EXIT.ok;
    case 'refused':
      return EXIT.negative;
    case 'unknown-name':
      return EXIT.usage;
    default:
      return assertNever(answer);
  }
}

function print(io: Io, answer: Explanation): void {
  switch (answer.kind) {
    case 'allowed':
      io.out(`${paint(io, 'green', 'allowed')} by ${describeRule(answer.by)}\n`);
      for (const condition of answer.conditions) io.out(`  - ${condition}\n`);
      return;
    case 'refused':
      io.out(`${paint(io, 'red', 'refused')}: ${answer.because} (${answer.reason})\n`);
      if (answer.nearest !== undefined) {
        io.out(`  nearest: ${describeRule(answer.nearest.rule)}\n  but ${answer.nearest.difference}\n`);
      }
      return;
    case 'unknown-name':
      io.err(`ringwall: the model has no ${quote(answer.name)}; it knows ${answer.known.join(', ')}\n`);
      return;
    default:
      assertNever(answer);
  }
}
