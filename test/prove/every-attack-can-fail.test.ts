import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { CATALOGUE } from '#domain/attack';
import { normalisePath } from '#domain/path';
import type { ShotResult } from '#domain/proof';
import { runProof } from '#service/prove';
import { openLab, type Lab, type Weakening } from '../lab/lab-grounds.ts';
import { loadEdited, type Edit } from '../lab/load-edited.ts';
import { PROTECTIONS, type Protection } from './protections.ts';

/** What cannot fail proves nothing. Each lab is the real gateway and the real agent with one protection off. */

const ATTACKS: readonly string[] = CATALOGUE.map(({ id }) => id);

test('every attack of the catalogue stands with a protection that can be switched off', () => {
  const covered = new Set(PROTECTIONS.flatMap(attacksOn));
  assert.deepEqual(
    ATTACKS.filter(id => !covered.has(id)),
    [],
  );
  for (const { name, attacks } of PROTECTIONS)
    for (const pattern of attacks)
      assert.ok(
        ATTACKS.some(id => fits(id, pattern)),
        `${name}: ${pattern}`,
      );
});

// Most of the time goes by in waiting for what does not come.
describe('one protection off', { concurrency: 4 }, () => {
  test('with every protection on, all attacks hold', async t => {
    const results = await prove(t, { attacks: ATTACKS });
    assert.ok(new Set(results.map(({ shot }) => shot.attack.id)).size > ATTACKS.length - 10);
    for (const { shot, verdict } of results) assert.equal(verdict.kind, 'held', `${shot.id}: ${verdict.why}`);
  });

  for (const protection of PROTECTIONS) {
    test(`without ${protection.name}, the attacks on it get through`, async t => {
      const attacks = attacksOn(protection);
      const results = await prove(t, { ...protection, attacks });
      const silent = attacks.filter(
        id => !results.some(({ shot, verdict }) => shot.attack.id === id && verdict.kind === 'failed'),
      );
      const seen = results
        .filter(({ shot }) => silent.includes(shot.attack.id))
        .map(({ shot, verdict }) => `${shot.id} ${verdict.kind}: ${verdict.why}`);
      assert.deepEqual(silent, [], seen.join('\n'));
    });
  }
});

test('a ledger that lost one kind of refusal is found out by the attack that was refused so', async t => {
  const results = await prove(t, {
    weakening: { loses: ({ reason }) => reason === 'no-route' },
    attacks: ['edge/undeclared-path', 'edge/undeclared-host', 'audit/attacks-recorded'],
  });
  const [found] = results.filter(({ verdict }) => verdict.kind === 'failed');
  assert.equal(found?.shot.attack.id, 'audit/attacks-recorded');
  assert.match(found.evidence.replay, /--only edge\/undeclared-path@/);
  assert.match(found.verdict.why, /refused with 404 no-route, and the ledger has no record of it/);
});

test('an edit changes what a lab loads, and nothing for anybody else', async () => {
  const file = 'src/domain/path/normalise-path.ts';
  const edits = [{ file, instead: 'test/lab/lenient-path.ts' }];
  const url = new URL('../../src/domain/path/index.ts', import.meta.url);
  const edited = (await loadEdited(url, edits)) as { readonly normalisePath: typeof normalisePath };
  assert.deepEqual(edited.normalisePath('/a/../b'), { kind: 'path', path: '/b' });
  assert.deepEqual(normalisePath('/a/../b'), { kind: 'refused', reason: 'dot-segment' });
});

test('an edit that does not fit the sources is an error, and so is one that nothing loads', async () => {
  const file = 'src/domain/path/normalise-path.ts';
  await assert.rejects(openEdited([{ file, cut: 'what nobody wrote', put: '' }]), /has this 0 times/);
  await assert.rejects(openEdited([{ file: 'src/app/cli/main.ts', cut: '', put: '' }]), /is not loaded/);
});

async function prove(
  t: TestContext,
  { edits = [], weakening, attacks }: Pick<Protection, 'edits' | 'weakening' | 'attacks'>,
): Promise<readonly ShotResult[]> {
  const lab = await (edits.length === 0 ? openLab(weakening) : openEdited(edits, weakening));
  t.after(() => lab.close());
  const { results } = await runProof({
    grounds: lab.grounds,
    wants: ({ attack }) => attacks.includes(attack.id),
    nowMs: () => Date.now(),
  });
  return results;
}

async function openEdited(edits: readonly Edit[], weakening?: Weakening): Promise<Lab> {
  const url = new URL('../lab/lab-grounds.ts', import.meta.url);
  const lab = (await loadEdited(url, edits)) as { readonly openLab: typeof openLab };
  return lab.openLab(weakening);
}

function attacksOn({ attacks }: Protection): readonly string[] {
  return ATTACKS.filter(id => attacks.findLast(pattern => fits(id, pattern))?.startsWith('!') === false);
}

function fits(id: string, pattern: string): boolean {
  const wanted = pattern.replace('!', '');
  return wanted.endsWith('*') ? id.startsWith(wanted.slice(0, -1)) : id === wanted;
}
