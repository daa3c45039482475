import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proveProgress } from './prove-progress.ts';

function watch(colour: boolean) {
  let text = '';
  let nowMs = 0;
  const io = { out: assert.fail, err: (more: string) => void (text += more), cwd: '/', env: {}, colour };
  const progress = proveProgress(io, () => nowMs);
  return { progress, text: () => text, pass: (ms: number) => void (nowMs += ms) };
}

test('proveProgress() without a terminal: a line for each phase, and one every few seconds', () => {
  const { progress, text, pass } = watch(false);
  progress.report(1, 9, 'attacks');
  pass(1_000);
  progress.report(2, 9, 'attacks');
  pass(4_999);
  progress.report(3, 9, 'attacks');
  progress.report(4, 9, 'floods');
  progress.report(5, 9, 'floods');
  pass(999);
  progress.report(6, 9, 'ledger');
  pass(4_001);
  progress.report(7, 9, 'attacks');
  progress.end();
  assert.equal(
    text(),
    [
      'ringwall: 2 of 9 attacks made (attacks)\n',
      'ringwall: 4 of 9 attacks made (floods)\n',
      'ringwall: 7 of 9 attacks made (attacks)\n',
    ].join(''),
  );
});

test('proveProgress() on a terminal: one line that is written over, and gone at the end', () => {
  const { progress, text, pass } = watch(true);
  progress.report(1, 9, 'attacks');
  progress.report(2, 9, 'attacks');
  pass(100);
  progress.report(3, 9, 'attacks');
  progress.end();
  assert.equal(text(), '\r\u001b[K1/9 attacks\r\u001b[K3/9 attacks\r\u001b[K');
});
