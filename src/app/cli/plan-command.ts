import { Command } from 'commander';
import { planChange, type Change, type ChangeKind } from '#domain/plan';
import type { Finish } from './finish.ts';
import { EXIT, type Io } from './io.ts';
import { loadModel } from './load-model.ts';
import { paint } from './paint.ts';

const SIGNS: Readonly<
  Record<ChangeKind, { readonly sign: string; readonly colour: 'red' | 'green' | 'yellow' | 'cyan' }>
> = {
  opens: { sign: '+ opens   ', colour: 'red' },
  loosens: { sign: '~ loosens ', colour: 'yellow' },
  tightens: { sign: '~ tightens', colour: 'cyan' },
  closes: { sign: '- closes  ', colour: 'green' },
};

/** `ringwall plan OLD NEW`: what a change of the model opens and closes. */
export function planCommand(io: Io, finish: Finish): Command {
  return new Command('plan')
    .description('show what a change of the model opens and closes')
    .argument('<old>', 'the model as it is')
    .argument('<new>', 'the model as it would be')
    .option('--json', 'print the changes as JSON')
    .option('--exit-code', 'exit 1 when anything opens or loosens')
    .addHelpText(
      'after',
      `
Examples:
  ringwall plan ringwall.yaml ringwall.next.yaml
  git show main:ringwall.yaml > /tmp/old.yaml && ringwall plan /tmp/old.yaml ringwall.yaml --exit-code`,
    )
    .action(async (oldFile: string, newFile: string, options: { json?: true; exitCode?: true }) => {
      const before = await loadModel(io, oldFile);
      if (before.kind === 'failed') return finish(before.code);
      const after = await loadModel(io, newFile);
      if (after.kind === 'failed') return finish(after.code);

      const changes = planChange(before.model, after.model);
      io.out(options.json === true ? `${JSON.stringify(changes, null, 2)}\n` : printChanges(io, changes));
      const widens = changes.some(({ kind }) => kind === 'opens' || kind === 'loosens');
      return finish(options.exitCode === true && widens ? EXIT.negative : EXIT.ok);
    });
}

function printChanges(io: Io, changes: readonly Change[]): string {
  if (changes.length === 0) return 'nothing opens and nothing closes\n';
  const lines = changes.map(({ kind, what, at }) => {
    const { sign, colour } = SIGNS[kind];
    return `${paint(io, colour, sign)}  ${what}  ${paint(io, 'dim', `(${at.file}:${at.line})`)}`;
  });
  const count = (kind: ChangeKind) => changes.filter(change => change.kind === kind).length;
  return `${lines.join('\n')}\n\n${count('opens')} opened, ${count('loosens')} loosened, ${count('tightens')} tightened, ${count('closes')} closed\n`;
}
