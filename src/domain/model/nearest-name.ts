/**
 * The known name that a mistyped one most likely means, or undefined when none is near: at most a third of its
 * letters may differ. Distance is Damerau-Levenshtein (optimal string alignment), case ignored.
 */
export function nearestName(typed: string, known: Iterable<string>): string | undefined {
  const name = typed.toLowerCase();
  if (name.length > MAX_LENGTH) return undefined;
  let best: string | undefined;
  let bound = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= bound) continue;
    const distance = editDistance(name, candidate.toLowerCase(), bound);
    if (distance < bound) {
      best = candidate;
      bound = distance;
      if (distance === 0) break;
    }
  }
  return best;
}

const MAX_LENGTH = 64;

/** Stops early with `bound` once the distance cannot be below it. */
function editDistance(a: string, b: string, bound: number): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(cell(last, j) + 1, cell(row, j - 1) + 1, cell(last, j - 1) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, cell(beforeLast, j - 2) + 1);
      row.push(cost);
      if (cost < least) least = cost;
    }
    // One more row back for a swap of neighbours: it can only be as good as the last row was.
    if (least > bound && Math.min(...last) > bound) return bound;
    beforeLast = last;
    last = row;
  }
  return cell(last, b.length);
}

function cell(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
