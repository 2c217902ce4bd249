/**
 * Structured control flow for a region: where WebAssembly blocks and loops must open so that every edge is a branch.
 *
 * Blocks of the region are laid out in a given order. An edge to a later block is a branch to the end of a `block` that
 * closes there; an edge to an earlier one (or to itself) a branch to a `loop` that starts there. Scopes are widened until
 * they nest. Edges into the middle of a loop cannot be expressed: they leave the region.
 *
 * @module
 */

/** An edge between layout positions. */
export interface Edge {
  from: number;
  to: number;
}

/** Scopes of a layout of `n` positions. */
export interface Scopes {
  /** Last position of the loop that starts here, or -1. */
  loopEnd: Int32Array;
  /** Position at which the block that ends before this position opens, or -1. */
  blockStart: Int32Array;
  /** Edges that cannot be branches. */
  leaving: Set<Edge>;
}

/** Computes scopes for a layout. Edges out of the region are not given. */
export function planScopes(n: number, edges: readonly Edge[]): Scopes {
  const loopEnd = loopsOf(n, edges), blockStart = new Int32Array(n).fill(-1);
  const leaving = new Set<Edge>();
  for (const e of edges) {
    if (e.to <= e.from) continue;
    let enters = false;
    for (let h = e.from + 1; h < e.to && !enters; h++) enters = loopEnd[h] >= e.to;
    if (enters) leaving.add(e);
    else blockStart[e.to] = blockStart[e.to] < 0 ? e.from : Math.min(blockStart[e.to], e.from);
  }
  nestBlocks(n, loopEnd, blockStart);
  return { loopEnd, blockStart, leaving };
}

/** Last position of the loop that starts at each position, or -1; loops nest. */
export function loopsOf(n: number, edges: readonly Edge[]): Int32Array {
  const loopEnd = new Int32Array(n).fill(-1);
  for (const e of edges) if (e.to <= e.from) loopEnd[e.to] = Math.max(loopEnd[e.to], e.from);
  nestLoops(n, loopEnd);
  return loopEnd;
}

function nestLoops(n: number, loopEnd: Int32Array): void {
  for (let changed = true; changed;) {
    changed = false;
    for (let a = 0; a < n; a++) {
      for (let b = a + 1; b <= loopEnd[a]; b++) {
        if (loopEnd[b] > loopEnd[a]) {
          loopEnd[a] = loopEnd[b];
          changed = true;
        }
      }
    }
  }
}

function nestBlocks(n: number, loopEnd: Int32Array, blockStart: Int32Array): void {
  for (let changed = true; changed;) {
    changed = false;
    const lower = (t: number, to: number) => {
      if (to < blockStart[t]) {
        blockStart[t] = to;
        changed = true;
      }
    };
    for (let t = 0; t < n; t++) {
      if (blockStart[t] < 0) continue;
      // A block that opens inside a loop and ends behind it must open before the loop.
      for (let h = 0; h <= blockStart[t]; h++) {
        if (loopEnd[h] >= blockStart[t] && loopEnd[h] < t) lower(t, h);
      }
      // A block that opens inside another and ends behind it must open with it.
      for (let u = blockStart[t] + 1; u < t; u++) {
        if (blockStart[u] >= 0 && blockStart[u] < blockStart[t]) lower(t, blockStart[u]);
      }
    }
  }
}
