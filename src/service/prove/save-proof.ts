import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Proof } from '#domain/proof';
import { writeFileAtomically } from '#service/sealed';

/** Keeps a proof under `STATE/proofs`. @returns the path of its file */
export async function saveProof(stateDir: string, proof: Proof): Promise<string> {
  const directory = join(stateDir, 'proofs');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const name = `${new Date(proof.startedMs).toISOString().replaceAll(':', '').replace('.', '-')}.json`;
  const path = join(directory, name);
  await writeFileAtomically(path, encodeProof(proof));
  return path;
}

export function encodeProof(proof: Proof): string {
  return `${JSON.stringify(proof, null, 2)}\n`;
}
