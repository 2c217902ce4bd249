/**
 * What is compiled together: the blocks of one page reachable from a hot one by direct branches.
 *
 * @module
 */
import type { Form } from "../form.ts";
import { REC, REC_SIZE } from "../insn.ts";
import { LINK_NEXT, LINK_TAKEN } from "../semantics/control.ts";
import type { CpuState } from "../state.ts";

/** Most blocks and instructions in a region. */
const BLOCKS_MAX = 64, INSTRUCTIONS_MAX = 600;

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
  /** Layout position. */
  position: number;
}

/** How regions find their blocks. */
export interface BlockSource {
  readonly s: CpuState;
  /** Forms by handler index. */
  readonly forms: readonly Form[];
  /** Handler of a record; the first of a block has its own kept elsewhere. */
  handlerOf(rec: number, first: boolean): number;
  /** Record of the decoded block at a RIP in the same page as `from`, or 0. */
  find(from: number, ripLo: number, ripHi: number): number;
}

/** Branches that end a block and whose targets may be inside the region. */
const BRANCHES = new Set(["jmp", "jcc"]);

/** Collects a region in layout order (reverse postorder, so that loop headers precede their bodies). */
export function collectRegion(src: BlockSource, entry: number): RegionBlock[] {
  const blocks = new Map<number, RegionBlock>(), order: RegionBlock[] = [];
  let instructions = 0;
  const visit = (rec: number): RegionBlock | null => {
    const known = blocks.get(rec);
    if (known) return known;
    if (blocks.size >= BLOCKS_MAX || instructions >= INSTRUCTIONS_MAX) return null;
    const b = describe(src, rec);
    if (b === null) return null;
    instructions += b.count;
    blocks.set(rec, b);
    for (const { slot, lo, hi } of successors(src.s, b)) {
      const target = src.find(rec, lo, hi), to = target ? visit(target) : null;
      if (to) b.edges.push({ slot, to });
    }
    order.push(b);
    return b;
  };
  visit(entry);
  order.reverse();
  order.forEach((b, i) => b.position = i);
  return order;
}

function describe(src: BlockSource, rec: number): RegionBlock | null {
  const count = src.s.i32[(rec - 4) >> 2];
  if (count <= 0) return null;
  const forms: Form[] = [], handlers: number[] = [];
  for (let i = 0; i < count; i++) {
    const h = src.handlerOf(rec + i * REC_SIZE, i === 0);
    handlers.push(h);
    forms.push(src.forms[h]);
  }
  const last = forms[count - 1];
  const closes = !BRANCHES.has(last.name) && !ENDS.has(last.name);
  return { rec, count, forms, handlers, edges: [], closes, position: 0 };
}

/** Block ends without a closing record. */
const ENDS = new Set(["sys", "loop", "jcxz", "call", "call_ind", "jmp_ind", "ret"]);

/** Direct successors of a block: fall-through last, so that it is visited last and laid out next. */
function successors(s: CpuState, b: RegionBlock): { slot: number; lo: number; hi: number }[] {
  const at = b.rec + (b.count - 1) * REC_SIZE, name = b.forms[b.count - 1].name;
  const imm = (rec: number) => ({ lo: s.i32[(rec + REC.IMM) >> 2], hi: s.i32[(rec + REC.IMM + 4) >> 2] });
  if (b.closes) return [{ slot: LINK_TAKEN, ...imm(at + REC_SIZE) }];
  if (name === "jmp") return [{ slot: LINK_TAKEN, ...imm(at) }];
  if (name !== "jcc") return [];
  const rip = s.i32[(at + REC.RIP_HI) >> 2] * 0x1_0000_0000 + s.u32[(at + REC.RIP_LO) >> 2];
  const next = rip + s.u8[at + REC.LEN];
  return [
    { slot: LINK_TAKEN, ...imm(at) },
    { slot: LINK_NEXT, lo: next | 0, hi: Math.floor(next / 0x1_0000_0000) | 0 },
  ];
}
