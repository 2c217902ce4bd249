/**
 * Flame graphs: counts of stacks added up along the tree of callers, without what is too thin to see.
 *
 * @module
 */

/** A frame with what it called. */
export interface FlameNode {
  /** Index into `Flame.names`. */
  name: number;
  /** Stacks through this frame. */
  value: number;
  children: FlameNode[];
}

/** A flame graph. */
export interface Flame {
  names: string[];
  total: number;
  /** Outermost frames. */
  roots: FlameNode[];
}

/** Frames below this share of the total are left out: half a pixel of a wide screen. */
const SHARE_MIN = 1 / 4000;
/** Most frames kept whatever their shares. */
const NODES_MAX = 4000;
/** Deepest frame shown. */
const DEPTH_MAX = 128;

/**
 * Adds up a flame graph.
 * @param parents tree of callers: the parent of each node, 0 the root
 * @param totals stacks that end in each node; becomes those that lead through it
 * @param nameOf what a node is called
 */
export function buildFlame(
  parents: Uint32Array,
  totals: Float64Array,
  nameOf: (node: number) => string,
): Flame {
  // Parents have smaller numbers than their children.
  for (let i = totals.length - 1; i > 0; i--) totals[parents[i]] += totals[i];
  const total = totals[0] ?? 0;
  const names = new Names();
  const least = total * SHARE_MIN;
  const nodes: (FlameNode | null)[] = new Array(totals.length).fill(null);
  const depths = new Uint16Array(totals.length);
  const roots: FlameNode[] = [];
  let kept = 0;
  for (let i = 1; i < totals.length; i++) {
    if (totals[i] === 0 || totals[i] < least || kept >= NODES_MAX) continue;
    const parent = parents[i], depth = parent === 0 ? 1 : depths[parent] + 1;
    if ((parent !== 0 && nodes[parent] === null) || depth > DEPTH_MAX) continue;
    const siblings = parent === 0 ? roots : nodes[parent]!.children;
    depths[i] = depth;
    nodes[i] = { name: names.index(nameOf(i)), value: totals[i], children: [] };
    siblings.push(nodes[i]!);
    kept++;
  }
  sortNodes(roots, names.list);
  return { names: names.list, total, roots };
}

class Names {
  readonly list: string[] = [];
  readonly #indexes = new Map<string, number>();
  index(name: string): number {
    let i = this.#indexes.get(name);
    if (i === undefined) {
      i = this.list.push(name) - 1;
      this.#indexes.set(name, i);
    }
    return i;
  }
}

/** Alphabetical, as flame graphs are, so that two of them compare by eye; equal names become one frame. */
function sortNodes(nodes: FlameNode[], names: readonly string[]): void {
  nodes.sort((a, b) => names[a.name] < names[b.name] ? -1 : names[a.name] > names[b.name] ? 1 : 0);
  let out = 0;
  for (const node of nodes) {
    const before = nodes[out - 1];
    if (out > 0 && before.name === node.name) {
      before.value += node.value;
      before.children.push(...node.children);
    } else nodes[out++] = node;
  }
  nodes.length = out;
  for (const node of nodes) sortNodes(node.children, names);
}
