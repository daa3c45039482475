import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Proof } from '#domain/proof';
import { readStanding, saveProof } from './save-proof.ts';

const PROOF: Proof = {
  version: 2,
  system: 'shop',
  model: 'sha256:1',
  startedMs: 1_790_000_000_000,
  durationMs: 5,
  network: { kind: 'enforced' },
  results: [
    {
      shot: {
        id: 'edge/x@front',
        service: 'front',
        target: '',
        attack: { id: 'edge/x', ring: 'edge', vantage: 'outside', title: '', references: [] },
      },
      verdict: { kind: 'held', why: 'refused' },
      evidence: {
        control: undefined,
        observation: { kind: 'closed' },
        requestId: '',
        record: undefined,
        sent: '',
        received: '',
        durationMs: 1,
        replay: '',
      },
    },
  ],
  earlier: [],
  matrix: {},
};

async function stateDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-proofs-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

test('readStanding() gives what the newest of the saved proofs knew', async t => {
  const directory = await stateDirectory(t);
  assert.equal(await readStanding(directory), undefined);
  await saveProof(directory, { ...PROOF, model: 'sha256:2', startedMs: PROOF.startedMs + 1 });
  const path = await saveProof(directory, PROOF);
  assert.equal((await stat(path)).mode & 0o077, 0);
  const standing = await readStanding(directory);
  assert.equal(standing?.model, 'sha256:2');
  assert.deepEqual(
    standing.results.map(({ id, atMs, proof }) => [id, atMs, proof]),
    [['edge/x@front', PROOF.startedMs + 1, '2026-09-21T141320-001Z.json']],
  );
});

test('readStanding() takes nothing from a file that is no proof of this release', async t => {
  const directory = await stateDirectory(t);
  await mkdir(join(directory, 'proofs'));
  const file = join(directory, 'proofs', '2026-09-21T141320-000Z.json');
  for (const text of [
    '',
    '{',
    JSON.stringify({ ...PROOF, version: 1 }),
    JSON.stringify({ ...PROOF, earlier: undefined }),
    JSON.stringify({ ...PROOF, earlier: [{ id: 'edge/x@front', verdict: 'held' }] }),
  ]) {
    await writeFile(file, text);
    assert.equal(await readStanding(directory), undefined, text.slice(0, 40));
  }
  await writeFile(file, JSON.stringify(PROOF));
  assert.equal((await readStanding(directory))?.results.length, 1);
});
