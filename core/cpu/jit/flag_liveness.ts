/**
 * What each block of a region does with the flags it finds, and so in which form they must come to it.
 *
 * @module
 */
import type { Form } from "../form.ts";
import { REC, REC_SIZE } from "../insn.ts";
import type { CpuState } from "../state.ts";
import { FlagsAt } from "./emit_flags.ts";
import type { Plan } from "./plan.ts";
import type { RegionBlock } from "./region.ts";

/** Instructions that set all flags and read none. */
const SETS = new Set(
  "add or and sub xor cmp test neg xadd cmpxchg mul imul imul2 comis ptest".split(" "),
);
/** Shifts: with a constant count that is not zero they set all flags. */
const SHIFTS = new Set(["shl", "shr", "sal", "sar"]);
/** Instructions that read flags, or change some of them only. (What is named nowhere here ignores flags.) */
const READS = new Set(
  ("adc sbb cmc clc stc rol ror rcl rcr shld shrd div idiv cmov setcc lahf sahf bt bts btr btc bsf bsr popcnt tzcnt " +
    "lzcnt andn pushf jcc loop jcxz").split(" "),
);
/** Instructions with register operands only that cannot leave. */
const STAYS = new Set("mov movzx movsx lea nop not bswap cbw cwd xchg jmp jcc".split(" "));

/** True when an instruction may leave the region before its own flags are set. */
const mayLeave = (f: Form): boolean =>
  f.ops.some((o) => o.k === "mem") || !(SETS.has(f.name) || SHIFTS.has(f.name) || STAYS.has(f.name));

/** What the instructions of a block want; null when flags pass through it, having met (`left`) a place that may leave. */
function wants(s: CpuState, b: RegionBlock): { form: number | null; left: boolean } {
  let left = false;
  for (const [i, f] of b.forms.entries()) {
    if (READS.has(f.name)) return { form: FlagsAt.HOT, left };
    if (f.name === "inc" || f.name === "dec") return { form: FlagsAt.CARRY, left };
    if (mayLeave(f)) left = true;
    if (SETS.has(f.name)) return { form: left ? FlagsAt.COLD : FlagsAt.DEAD, left };
    if (SHIFTS.has(f.name)) {
      const counts = f.ops[1].k === "imm" && (s.u8[b.rec + i * REC_SIZE + REC.IMM] & 31) !== 0;
      return { form: !counts ? FlagsAt.HOT : left ? FlagsAt.COLD : FlagsAt.DEAD, left };
    }
  }
  return { form: null, left };
}

/** How many ways lead out of a block, taken or not. */
function exits(b: RegionBlock): number {
  return b.forms[b.count - 1].name === "jcc" ? 2 : 1;
}

/** The form (`FlagsAt`) in which flags come to each block by its position; at 0 the dispatcher. */
export function flagForms(s: CpuState, blocks: readonly RegionBlock[], plan: Plan): number[] {
  const own = blocks.map((b) => wants(s, b));
  const forms: number[] = [FlagsAt.COLD, ...own.map((w) => w.form ?? (w.left ? FlagsAt.COLD : FlagsAt.DEAD))];
  let changed = true;
  const raise = (p: number, form: number): void => {
    if (form <= forms[p]) return;
    forms[p] = form;
    changed = true;
  };
  while (changed) {
    changed = false;
    for (const b of plan.entries) raise(0, forms[b.position]);
    // Finished words are not carried: then every entry takes them.
    if (forms[0] === FlagsAt.HOT) { for (const b of plan.entries) raise(b.position, FlagsAt.HOT); }
    for (let i = blocks.length - 1; i >= 0; i--) {
      if (own[i].form !== null) continue;
      const b = blocks[i], inside = b.edges.filter((x) => plan.direct.has(`${b.position}:${x.slot}`));
      for (const x of inside) raise(b.position, forms[x.to.position]);
      if (inside.length < exits(b)) raise(b.position, forms[0]);
    }
  }
  return forms;
}
