/**
 * What each block of a region does with the flags it finds, and so in which form they must come to it.
 *
 * @module
 */
import type { Form } from "../form.ts";
import { REC, REC_SIZE } from "../insn.ts";
import type { CpuState } from "../state.ts";
import { FlagsAt } from "./emit_flags.ts";
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

/** The form (`FlagsAt`) in which flags come to each block. */
export function flagForms(s: CpuState, blocks: readonly RegionBlock[]): number[] {
  const own = blocks.map((b) => wants(s, b));
  const forms: number[] = own.map((w) => w.form ?? (w.left ? FlagsAt.COLD : FlagsAt.DEAD));
  for (let changed = true; changed;) {
    changed = false;
    for (let p = blocks.length - 1; p >= 0; p--) {
      if (own[p].form !== null) continue;
      const b = blocks[p], after = b.edges.map((x) => forms[x.to.position]);
      const form = Math.max(forms[p], after.length < exits(b) ? FlagsAt.COLD : FlagsAt.DEAD, ...after);
      if (form === forms[p]) continue;
      forms[p] = form;
      changed = true;
    }
  }
  return forms;
}
