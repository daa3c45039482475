import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '#base/error';
import { compileSchema, SchemaError, Type } from '#base/schema';
import { proofName, standingOf, type Proof, type Standing } from '#domain/proof';
import { RINGS, type Ring } from '#domain/rings';
import { writeFileAtomically } from '#service/sealed';

/** Keeps a proof under `STATE/proofs`. @returns the path of its file */
export async function saveProof(stateDir: string, proof: Proof): Promise<string> {
  const directory = directoryOf(stateDir);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, proofName(proof.startedMs));
  await writeFileAtomically(path, encodeProof(proof));
  return path;
}

export function encodeProof(proof: Proof): string {
  return `${JSON.stringify(proof, null, 2)}\n`;
}

/**
 * What the newest proof knew, of itself and of those before it.
 *
 * @returns `undefined` without one that this release can read: then nothing counts as attacked
 */
export async function readStanding(stateDir: string): Promise<Standing | undefined> {
  const directory = directoryOf(stateDir);
  try {
    const newest = (await readdir(directory))
      .filter(name => name.endsWith('.json'))
      .sort()
      .at(-1);
    if (newest === undefined) return undefined;
    return standingOf(proofFile.parse(await readFile(join(directory, newest), 'utf8')));
  } catch (error) {
    if (hasCode(error, 'ENOENT') || error instanceof SchemaError) return undefined;
    throw error;
  }
}

function directoryOf(stateDir: string): string {
  return join(stateDir, 'proofs');
}

const oneOf = <T extends string>(...names: readonly T[]) => Type.Union(names.map(name => Type.Literal(name)));
const ring = oneOf(...(Object.keys(RINGS) as Ring[]));
const verdict = Type.Object({ kind: oneOf('held', 'failed', 'inconclusive'), why: Type.String() });

/** As much of a proof as later ones build on. */
const proofFile = compileSchema(
  'proof',
  Type.Object({
    version: Type.Literal(2),
    model: Type.String(),
    startedMs: Type.Integer({ minimum: 0 }),
    network: Type.Union([
      Type.Object({ kind: Type.Literal('enforced') }),
      Type.Object({ kind: Type.Literal('not-enforced'), why: Type.String() }),
    ]),
    results: Type.Array(
      Type.Object({
        shot: Type.Object({ id: Type.String(), service: Type.String(), attack: Type.Object({ ring }) }),
        verdict,
      }),
    ),
    earlier: Type.Array(
      Type.Object({
        id: Type.String(),
        service: Type.String(),
        ring,
        verdict,
        atMs: Type.Integer({ minimum: 0 }),
        proof: Type.String(),
      }),
    ),
  }),
);
