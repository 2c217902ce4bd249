/**
 * What is compiled together: the blocks reachable from a hot one by direct branches, calls followed into and back.
 *
 * @module
 */
import type { Form } from "../form.ts";
import { REC, REC_SIZE } from "../insn.ts";
import { LINK_NEXT, LINK_TAKEN } from "../semantics/control.ts";
import type { CpuState } from "../state.ts";

/** Most blocks and instructions in a region, calls followed into included. */
const BLOCKS_MAX = 64, INSTRUCTIONS_MAX = 400;
/** Deepest chain of calls followed into. */
const CALLS_MAX = 2;
/** Link slot of an edge that a RET takes back to the instruction behind the call. */
export const RETURN = -1;

/** One block of a region; a block that is followed into from several calls appears once for each. */
export interface RegionBlock {
  /** First record. */
  rec: number;
  /** Instructions. */
  count: number;
  /** Form of each instruction; the closing jump is not among them. */
  forms: Form[];
  /** Handler index of each instruction. */
  handlers: number[];
  /** Internal successors by link slot (or `RETURN`). */
  edges: { slot: number; to: RegionBlock }[];
  /** Falls through to a closing jump record behind its last instruction. */
  closes: boolean;
  /** Layout position. */
  position: number;
}

/** How regions find their blocks. */
export interface BlockSource {
  readonly s: CpuState;
  /** Forms by handler index. */
  readonly forms: readonly Form[];
  /** Handler of a record; the first of a block has its own kept elsewhere. */
  handlerOf(rec: number): number;
  /** Record of the decoded block at a RIP in the mode of the block at `from`, or 0. */
  find(from: number, ripLo: number, ripHi: number): number;
  /** True for blocks that run often enough to be worth including. */
  isWarm(rec: number): boolean;
}

/** A call being followed into: where its RET goes, and the call around it. */
interface Call {
  /** Block behind the call, found or not yet. */
  back: () => RegionBlock | null;
  outer: Call | null;
  depth: number;
  id: number;
}

interface Target {
  slot: number;
  lo: number;
  hi: number;
}

/** Branches that end a block and whose targets may be inside the region. */
const BRANCHES = new Set(["jmp", "jcc"]);
/** Block ends without a closing record. */
const ENDS = new Set(["sys", "loop", "jcxz", "call", "call_ind", "jmp_ind", "ret", "iret"]);

/** Collects a region in layout order (reverse postorder, so that loop headers precede their bodies). */
export function collectRegion(src: BlockSource, entry: number): RegionBlock[] {
  const collector = new Collector(src);
  collector.visit(entry, null);
  const order = collector.order.reverse();
  order.forEach((b, i) => b.position = i);
  return order;
}

class Collector {
  readonly order: RegionBlock[] = [];
  readonly #blocks = new Map<string, RegionBlock>();
  #instructions = 0;
  #calls = 0;

  constructor(readonly src: BlockSource) {}

  visit(rec: number, call: Call | null): RegionBlock | null {
    const key = `${rec}:${call?.id ?? 0}`, known = this.#blocks.get(key);
    if (known) return known;
    if (this.#blocks.size >= BLOCKS_MAX || this.#instructions >= INSTRUCTIONS_MAX) return null;
    const b = describe(this.src, rec);
    if (b === null) return null;
    this.#instructions += b.count;
    this.#blocks.set(key, b);
    const last = b.forms[b.count - 1].name;
    if (last === "call") this.#follow(b, call);
    else if (last === "ret") {
      const to = call?.back() ?? null;
      if (to) b.edges.push({ slot: RETURN, to });
    } else for (const t of successors(this.src.s, b)) this.#edge(b, t, call);
    this.order.push(b);
    return b;
  }

  #edge(b: RegionBlock, t: Target, call: Call | null): void {
    const rec = this.src.find(b.rec, t.lo, t.hi),
      to = rec && this.src.isWarm(rec) ? this.visit(rec, call) : null;
    if (to) b.edges.push({ slot: t.slot, to });
  }

  /** Follows a direct call, if what is behind it is decoded too and the chain is short. */
  #follow(b: RegionBlock, call: Call | null): void {
    const depth = (call?.depth ?? 0) + 1;
    if (depth > CALLS_MAX) return;
    const { s } = this.src, at = b.rec + (b.count - 1) * REC_SIZE;
    const next = behind(s, at), behindRec = this.src.find(b.rec, next.lo, next.hi);
    if (behindRec === 0) return;
    const inner: Call = { back: () => this.visit(behindRec, call), outer: call, depth, id: ++this.#calls };
    this.#edge(b, { slot: LINK_TAKEN, ...target(s, at) }, inner);
  }
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
  const last = forms[count - 1];
  const closes = !BRANCHES.has(last.name) && !ENDS.has(last.name);
  return { rec, count, forms, handlers, edges: [], closes, position: 0 };
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

/** Direct successors of a block: fall-through last, so that it is visited last and laid out next. */
function successors(s: CpuState, b: RegionBlock): Target[] {
  const at = b.rec + (b.count - 1) * REC_SIZE, name = b.forms[b.count - 1].name;
  if (b.closes) return [{ slot: LINK_TAKEN, ...target(s, at + REC_SIZE) }];
  if (name === "jmp") return [{ slot: LINK_TAKEN, ...target(s, at) }];
  if (name !== "jcc") return [];
  return [{ slot: LINK_TAKEN, ...target(s, at) }, { slot: LINK_NEXT, ...behind(s, at) }];
}
