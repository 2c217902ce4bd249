/**
 * The common cases of instructions that system operations execute in full: what these functions do not cover they leave
 * to them.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { type Emit } from "../emit.ts";
import type { Semantic } from "../form.ts";
import { REC } from "../insn.ts";
import { Leave } from "../leave.ts";
import { Fl } from "../state.ts";
import * as X from "../../wasm/expr.ts";
import { overflow } from "./flags.ts";
import { flagsByte } from "./move.ts";
import { push } from "./stack.ts";

/** Leaves to the system operation of the record. */
const otherwise = (e: Emit, cond: X.Expr): void => e.unlikely(cond, () => e.leave(Leave.SYS));

/** PUSHF outside virtual-8086 mode, not intercepted: RF and VM are pushed clear. */
const pushf: Semantic = (e, f) => {
  const rest = e.let(e.state(32, L.FLAGS));
  otherwise(e, X.or(X.and(rest, X.c32(Fl.VM)), e.state(32, L.PUSHF_EXITS)));
  const arithmetic = X.or(flagsByte(e), X.shl(overflow(e), X.c32(11)));
  const image = X.or(X.and(rest, X.c32(~(Fl.VM | Fl.RF))), arithmetic);
  push(e, f, f.size, f.size === 64 ? X.extU(image) : image);
  e.next();
};

/** CLI at privilege level 0. */
const cli: Semantic = (e) => {
  otherwise(e, e.state(32, L.CPL));
  e.setState(32, L.FLAGS, X.and(e.state(32, L.FLAGS), X.c32(~Fl.IF)));
  e.next();
};

/** MOV from a segment register to a general one. Encodings 6 and 7 are undefined. */
const movFromSreg: Semantic = (e, f) => {
  const seg = e.let(e.field8(REC.R0));
  otherwise(e, X.gtU(seg, X.c32(5 * 8)));
  const selector = X.load(16, X.mul(seg, X.c32(L.SEG_SIZE / 8)), L.SEG + L.SEG_SEL);
  e.write(f.ops[0], f.size === 64 ? X.extU(selector) : selector);
  e.next();
};

/** Semantic functions of this family. */
export const system: Record<string, Semantic> = { pushf, cli, mov_from_sreg: movFromSreg };
