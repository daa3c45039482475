import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CATALOGUE } from '#domain/attack';
import { runProof } from '#service/prove';
import { openLab } from '../lab/open-grounds.ts';

test('every attack of the catalogue fails against a system without walls: what cannot fail proves nothing', async t => {
  const lab = await openLab({ verifier: 'blind' });
  t.after(() => lab.close());
  const { results } = await runProof({ grounds: lab.grounds, nowMs: () => Date.now() });
  const byAttack = Map.groupBy(results, ({ shot }) => shot.attack.id);
  for (const { id } of CATALOGUE) {
    // The verifier of this lab sees no damage; what an honest one sees is below.
    if (id === 'audit/intact') continue;
    const made = byAttack.get(id) ?? [];
    assert.ok(made.length > 0, `${id} has no target in the lab`);
    for (const { shot, verdict } of made) {
      assert.equal(verdict.kind, 'failed', `${shot.id}: ${verdict.why}`);
    }
  }
});

test('audit/intact fails against a ledger of which one byte was changed', async t => {
  const lab = await openLab({ verifier: 'honest' });
  t.after(() => lab.close());
  const wants = ({ attack }: { attack: { id: string } }) => attack.id === 'audit/intact';
  const before = await runProof({ grounds: lab.grounds, wants, nowMs: () => Date.now() });
  assert.ok(before.results.length > 0 && before.results.every(({ verdict }) => verdict.kind === 'held'));
  await flipOneByte(lab.grounds.ledger?.directory ?? '');
  const { results } = await runProof({ grounds: lab.grounds, wants, nowMs: () => Date.now() });
  assert.ok(results.length > 0 && results.every(({ verdict }) => verdict.kind === 'failed'));
});

test('the damages of the audit ring hold against the real verifier, on copies: the ledger itself stays as it was', async t => {
  const lab = await openLab({ verifier: 'honest' });
  t.after(() => lab.close());
  const wants = ({ probe }: { probe: { kind: string } }) => probe.kind === 'ledger';
  for (const _run of [1, 2]) {
    const { results } = await runProof({ grounds: lab.grounds, wants, nowMs: () => Date.now() });
    assert.ok(results.length >= 7);
    for (const { shot, verdict } of results) assert.equal(verdict.kind, 'held', `${shot.id}: ${verdict.why}`);
  }
});

test('audit/attacks-recorded fails when refusals are not in the ledger', async t => {
  const lab = await openLab({ verifier: 'blind', refuses: 'no-such-call' });
  t.after(() => lab.close());
  const wants = ({ attack }: { attack: { id: string } }) =>
    attack.id === 'authorization/undeclared-pair' || attack.id === 'audit/attacks-recorded';
  const { results } = await runProof({ grounds: lab.grounds, wants, nowMs: () => Date.now() });
  const recorded = results.filter(({ shot }) => shot.attack.id === 'audit/attacks-recorded');
  assert.ok(recorded.length > 0);
  for (const { verdict } of recorded) assert.equal(verdict.kind, 'failed');
  // The legitimate requests were refused too: nothing is proven by refusing everybody.
  for (const { shot, verdict } of results) {
    if (shot.attack.id === 'authorization/undeclared-pair' && shot.service !== 'db')
      assert.equal(verdict.kind, 'inconclusive');
  }
});

async function flipOneByte(directory: string): Promise<void> {
  const folder = join(directory, 'tile', 'entries', '000.p');
  for (const name of await readdir(folder)) {
    const bytes = await readFile(join(folder, name));
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await writeFile(join(folder, name), bytes);
  }
}
