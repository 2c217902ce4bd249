/**
 * "Did you mean": the known word nearest to a mistyped one.
 *
 * @module
 */

/** Edit distance with transpositions counted once (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  let before: number[] = [];
  let previous = Array.from({ length: width }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j < width; j++) {
      const substitute = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current[j] = Math.min(previous[j] + 1, current[j - 1] + 1, substitute);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) current[j] = Math.min(current[j], before[j - 2] + 1);
    }
    before = previous;
    previous = current;
  }
  return previous[b.length];
}

/** The nearest of the known words when it is near enough to be meant, else null. Long words are not compared. */
export function nearest(word: string, known: Iterable<string>): string | null {
  if (word.length > 64) return null;
  let best: string | null = null;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const d = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (d < least) [best, least] = [candidate, d];
  }
  return best;
}

/** `; did you mean X?` or, when nothing is near, `; known are A, B, C.` */
export function suggestion(word: string, known: readonly string[], prefix = ""): string {
  const near = nearest(word, known);
  if (near !== null) return `; did you mean ${prefix}${near}?`;
  return `; known are ${known.map((k) => prefix + k).join(", ")}.`;
}
