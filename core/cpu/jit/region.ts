/**
 * What is compiled together: the blocks of a hot one's page that have run often, and what is reachable from them by direct
 * branches and calls.
 *
 * @module
 */
import { BRANCHES, COMPUTED, LEAVES } from "../decode/block_ends.ts";
import type { Form } from "../form.ts";
import { REC, REC_SIZE } from "../insn.ts";
import { LINK_NEXT, LINK_TAKEN } from "../semantics/control.ts";
import type { CpuState } from "../state.ts";
import { compilable } from "./compilable.ts";

/** Most blocks and instructions in a region. */
const BLOCKS_MAX = 192, INSTRUCTIONS_MAX = 1000;
/** Most blocks to choose from. */
const CANDIDATES_MAX = 512;

/** One block of a region. */
export interface RegionBlock {
  /** First record. */
  rec: number;
  /** Instructions. */
  count: number;
  /** Form of each instruction; the closing jump is not among them. */
  forms: Form[];
  /** Handler index of each instruction. */
  handlers: number[];
  /** Internal successors by link slot. */
  edges: { slot: number; to: RegionBlock }[];
  /** Falls through to a closing jump record behind its last instruction. */
  closes: boolean;
  /** Layout position, from 1. */
  position: number;
  /** Somebody may come here other than by an internal edge: back from a call, or from an instruction that is interpreted. */
  resumed: boolean;
}

/** How regions find their blocks. */
export interface BlockSource {
  readonly s: CpuState;
  /** Forms by handler index. */
  readonly forms: readonly Form[];
  readonly code64: boolean;
  /** Handler index of a record's own form. */
  handlerOf(rec: number): number;
  /** Record of the decoded block at a RIP, or 0. */
  find(ripLo: number, ripHi: number): number;
  /** True for blocks that run often enough to be worth including. */
  isWarm(rec: number): boolean;
  /** Blocks in the hot one's page and mode, the hottest first. */
  nearby(): number[];
}

interface Target {
  slot: number;
  lo: number;
  hi: number;
}

/** Slot of a successor that control comes to other than by a branch of this block's own compiled code. */
const LATER = -1;
/**
 * Collects a region in layout order (reverse postorder, so that loop headers precede their bodies).
 * @returns no blocks when the hot one cannot be compiled
 */
export function collectRegion(src: BlockSource, hot: number): RegionBlock[] {
  const chosen = choose(src, hot), order: RegionBlock[] = [], seen = new Set<RegionBlock>();
  const visit = (b: RegionBlock): void => {
    seen.add(b);
    for (const t of successors(src, b)) {
      const to = chosen.get(src.find(t.lo, t.hi));
      if (to === undefined) continue;
      if (t.slot === LATER) to.resumed = true;
      else b.edges.push({ slot: t.slot, to });
      if (!seen.has(to)) visit(to);
    }
    order.push(b);
  };
  // In the order of addresses: functions begin at their beginning, and loops are found by their heads.
  const { u32, i32 } = src.s, at = (b: RegionBlock, word: number) => (b.rec + word) >> 2;
  const inOrder = [...chosen.values()].sort((a, b) =>
    i32[at(a, REC.RIP_HI)] - i32[at(b, REC.RIP_HI)] || u32[at(a, REC.RIP_LO)] - u32[at(b, REC.RIP_LO)]
  );
  for (const b of inOrder) if (!seen.has(b)) visit(b);
  order.reverse().forEach((b, i) => b.position = i + 1);
  return order;
}

/** The blocks of a region by their records: those nearest to the hot one in the graph of branches, calls and returns. */
function choose(src: BlockSource, hot: number): Map<number, RegionBlock> {
  const chosen = new Map<number, RegionBlock>(), first = describe(src, hot);
  if (first === null) return chosen;
  const graph = neighbours(src, hot, first);
  chosen.set(hot, first);
  let instructions = first.count;
  for (const from of chosen.keys()) {
    for (const b of graph.get(from) ?? []) {
      if (chosen.has(b.rec) || chosen.size >= BLOCKS_MAX || instructions + b.count > INSTRUCTIONS_MAX) {
        continue;
      }
      chosen.set(b.rec, b);
      instructions += b.count;
    }
  }
  return chosen;
}

/** Warm blocks in the hot one's page and what they lead to, each with its predecessors and successors. */
function neighbours(src: BlockSource, hot: number, first: RegionBlock): Map<number, RegionBlock[]> {
  const blocks = new Map([[hot, first]]), graph = new Map<number, RegionBlock[]>([[hot, []]]);
  const add = (rec: number): RegionBlock | undefined => {
    const known = blocks.get(rec);
    if (known !== undefined || rec === 0 || blocks.size >= CANDIDATES_MAX || !src.isWarm(rec)) return known;
    const b = describe(src, rec);
    if (b === null) return undefined;
    blocks.set(rec, b);
    graph.set(rec, []);
    return b;
  };
  for (const rec of src.nearby()) add(rec);
  const reached = new Set<RegionBlock>(), computed: RegionBlock[] = [];
  const connect = (a: RegionBlock, b: RegionBlock) => {
    graph.get(a.rec)!.push(b);
    graph.get(b.rec)!.push(a);
  };
  for (const b of blocks.values()) {
    for (const t of successors(src, b)) {
      const to = add(src.find(t.lo, t.hi));
      if (to === undefined) continue;
      connect(b, to);
      reached.add(to);
    }
    if (COMPUTED.has(b.forms[b.count - 1].name)) computed.push(b);
  }
  // Nobody knows where computed branches go; blocks that nothing else leads to are likely.
  const targets = [...blocks.values()].filter((b) => !reached.has(b));
  for (const b of computed) for (const to of targets) if (to !== b) connect(b, to);
  return graph;
}

function describe(src: BlockSource, rec: number): RegionBlock | null {
  const count = src.s.i32[(rec - 4) >> 2];
  if (count <= 0) return null;
  const forms: Form[] = [], handlers: number[] = [];
  for (let i = 0; i < count; i++) {
    const h = src.handlerOf(rec + i * REC_SIZE);
    handlers.push(h);
    forms.push(src.forms[h]);
  }
  if (!BRANCHES.has(forms[0].name) && !compilable(forms[0], src.code64)) return null;
  const last = forms[count - 1];
  const closes = !BRANCHES.has(last.name) && !LEAVES.has(last.name);
  return { rec, count, forms, handlers, edges: [], closes, position: 0, resumed: false };
}

/** Target RIP of a direct branch. */
function target(s: CpuState, rec: number): { lo: number; hi: number } {
  return { lo: s.i32[(rec + REC.IMM) >> 2], hi: s.i32[(rec + REC.IMM + 4) >> 2] };
}
/** RIP behind an instruction. */
function behind(s: CpuState, rec: number): { lo: number; hi: number } {
  const rip = s.i32[(rec + REC.RIP_HI) >> 2] * 0x1_0000_0000 + s.u32[(rec + REC.RIP_LO) >> 2];
  const next = rip + s.u8[rec + REC.LEN];
  return { lo: next | 0, hi: Math.floor(next / 0x1_0000_0000) | 0 };
}

/** Successors of a block as far as they are known: fall-through last, so that it is visited last and laid out next. */
function successors(src: BlockSource, b: RegionBlock): Target[] {
  const { s } = src, at = b.rec + (b.count - 1) * REC_SIZE, name = b.forms[b.count - 1].name;
  const interpreted = b.forms.some((f) => !BRANCHES.has(f.name) && !compilable(f, src.code64));
  const taken = interpreted ? LATER : LINK_TAKEN, next = interpreted ? LATER : LINK_NEXT;
  if (b.closes) return [{ slot: taken, ...target(s, at + REC_SIZE) }];
  switch (name) {
    case "jmp":
      return [{ slot: taken, ...target(s, at) }];
    case "jcc":
    case "loop":
    case "jcxz":
      return [{ slot: taken, ...target(s, at) }, { slot: next, ...behind(s, at) }];
    case "call":
      return [{ slot: LATER, ...behind(s, at) }, { slot: taken, ...target(s, at) }];
    case "call_ind":
    case "int_n":
    case "syscall":
    case "sys":
      return [{ slot: LATER, ...behind(s, at) }];
    default:
      return [];
  }
}
