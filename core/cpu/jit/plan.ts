/**
 * Where a region can be entered, and which of its edges become branches.
 *
 * Position 0 is the dispatcher: it branches to whatever block a caller, a return or a computed jump wants. A WebAssembly loop
 * can be entered at its head only; where a block inside one must be enterable, the loop's back edges go through the
 * dispatcher instead.
 *
 * @module
 */
import type { RegionBlock } from "./region.ts";
import { type Edge, loopsOf, planScopes, type Scopes } from "./scopes.ts";

/** How an internal edge is taken. */
export interface PlannedEdge extends Edge {
  slot: number;
}

/** The plan of a region. */
export interface Plan {
  /** Blocks that can be entered, in the order of the dispatcher's table. */
  entries: RegionBlock[];
  scopes: Scopes;
  /** Edges that are branches, by "from:slot". */
  direct: Map<string, RegionBlock>;
  /** Edges that go through the dispatcher. */
  dispatched: Map<string, RegionBlock>;
  /** By position: most instructions behind a block until the budget is checked again; at 0, behind any entry. */
  needs: number[];
  /** Number of ways into each block, the dispatcher among them. */
  ways: Map<RegionBlock, number>;
}

/** Plans a region. @param required records of blocks that must be enterable */
export function planRegion(blocks: readonly RegionBlock[], required: ReadonlySet<number>): Plan {
  const n = blocks.length + 1;
  const edges: PlannedEdge[] = blocks.flatMap((b) =>
    b.edges.map((x) => ({ from: b.position, to: x.to.position, slot: x.slot }))
  );
  const { active, demoted, must } = demote(
    n,
    edges,
    blocks.filter((b) => b.resumed || required.has(b.rec)).map((b) => b.position),
  );
  const loopEnd = loopsOf(n, active);
  const inside = (p: number): boolean => {
    for (let h = 1; h < p; h++) if (loopEnd[h] >= p) return true;
    return false;
  };
  const entries = blocks.filter(({ position: p }) => must.has(p) || !inside(p));
  const dispatch: Edge[] = entries.map((b) => ({ from: 0, to: b.position }));
  const scopes = planScopes(n, [...active, ...dispatch, { from: n - 1, to: 0 }]);
  const plan: Plan = {
    entries,
    scopes,
    direct: new Map(),
    dispatched: new Map(),
    needs: [],
    ways: new Map(),
  };
  const count = (b: RegionBlock) => plan.ways.set(b, (plan.ways.get(b) ?? 0) + 1);
  entries.forEach(count);
  const enterable = new Set(entries);
  for (const x of edges) {
    const to = blocks[x.to - 1], key = `${x.from}:${x.slot}`;
    if (demoted.has(x) || scopes.leaving.has(x)) {
      if (enterable.has(to)) plan.dispatched.set(key, to);
    } else {
      plan.direct.set(key, to);
      count(to);
    }
  }
  plan.needs = needsOf(blocks, plan);
  return plan;
}

/** @see Plan.needs */
function needsOf(blocks: readonly RegionBlock[], plan: Plan): number[] {
  const needs: number[] = new Array(blocks.length + 1).fill(0);
  for (let i = blocks.length - 1; i >= 0; i--) {
    const b = blocks[i];
    for (const { slot, to } of b.edges) {
      if (to.position <= b.position || !plan.direct.has(`${b.position}:${slot}`)) continue;
      needs[b.position] = Math.max(needs[b.position], to.count + needs[to.position]);
    }
  }
  needs[0] = Math.max(0, ...plan.entries.map((b) => needs[b.position]));
  return needs;
}

/** Takes the back edges of loops around blocks that must be enterable out of the loops: their heads become such blocks. */
function demote(
  n: number,
  edges: PlannedEdge[],
  required: number[],
): { active: PlannedEdge[]; demoted: Set<Edge>; must: Set<number> } {
  const must = new Set(required), demoted = new Set<Edge>();
  let active = edges;
  for (let changed = true; changed;) {
    changed = false;
    const loopEnd = loopsOf(n, active);
    for (const r of [...must]) {
      for (let h = 1; h < r; h++) {
        if (loopEnd[h] < r) continue;
        must.add(h);
        for (const x of active) if (x.to === h && x.from >= h) demoted.add(x);
        changed = true;
      }
    }
    active = edges.filter((x) => !demoted.has(x));
  }
  return { active, demoted, must };
}
