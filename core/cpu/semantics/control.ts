/**
 * Direct branches, loops, and the ends of blocks. Source: Intel SDM volume 2 (JMP, Jcc, LOOPcc, JCXZ).
 *
 * A direct branch's record holds two link words where other records hold a displacement: the record of the target, and
 * that of the fall-through; the dispatcher fills them in when both lie in the block's own page.
 *
 * @module
 */
import { Leave } from "../leave.ts";
import * as L from "../../layout.ts";
import type { Emit } from "../emit.ts";
import type { Semantic } from "../form.ts";
import { REC } from "../insn.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { condition } from "./flags.ts";

/** Link words inside the record. */
export const LINK_TAKEN = REC.DISP, LINK_NEXT = REC.DISP + 4;

/** Branches to the record's target when `cond` holds, else to the next instruction. */
function branch(e: Emit, cond: Expr): void {
  e.if(cond, () => e.jumpLinked(LINK_TAKEN, e.field64(REC.IMM)));
  e.jumpLinked(LINK_NEXT, e.nextRip());
}

const jmp: Semantic = (e) => e.jumpLinked(LINK_TAKEN, e.field64(REC.IMM));
const jcc: Semantic = (e, f) => branch(e, condition(e, f.sub));

/** The counter after or before decrement, at the address size. */
const counter = (e: Emit): Expr => X.callX(X.c64(0).t, e.rt.getIndex, X.c32(8), e.field8(REC.ADDRSIZE));

/** LOOP (sub 2), LOOPE (1), LOOPNE (0): as the low bits of opcodes E0-E2. */
const loop: Semantic = (e, f) => {
  e.call(e.rt.addIndex, X.c32(8), e.field8(REC.ADDRSIZE), X.c32(-1));
  const more = X.ne(counter(e), X.c64(0));
  if (f.sub === 2) return branch(e, more);
  branch(e, X.and(more, condition(e, f.sub === 1 ? 4 : 5)));
};
const jcxz: Semantic = (e) => branch(e, X.eqz(counter(e)));

/** Not an instruction: the page ends here; continue at the next one. */
const pageEnd: Semantic = (e) => e.jumpTo(e.rip());
/** Not an instruction: end of a truncated block. */
const stop: Semantic = (e) => e.leave(Leave.STOP);
/** The first record of a block whose code has changed: look it up again. */
const stale: Semantic = (e) => {
  e.setState(64, L.RIP, e.rip());
  e.setState(32, L.LINK_SLOT, X.c32(0));
  e.leave(Leave.LOOKUP);
};
/**
 * First record of a block that is still counted: the header holds the real handler and, above it, how often the block may
 * run before the compiler is asked.
 */
const profile: Semantic = (e) => {
  const left = e.let(X.sub(X.load(32, X.sub(e.rec, X.c32(8))), X.c32(0x1_0000)));
  e.store(32, X.sub(e.rec, X.c32(8)), left);
  e.if(X.ltU(left, X.c32(0x1_0000)), () => e.leave(Leave.HOT));
  e.continueAs(X.and(left, X.c32(0xffff)));
};
/** A system operation: executed by the dispatcher. */
const sys: Semantic = (e) => e.leave(Leave.SYS);

/** Semantic functions of this family. */
export const control: Record<string, Semantic> = {
  jmp,
  jcc,
  loop,
  jcxz,
  page_end: pageEnd,
  profile,
  stop,
  stale,
  sys,
};
