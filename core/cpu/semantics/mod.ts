/**
 * All semantic functions by name.
 *
 * @module
 */
import type { Semantic } from "../form.ts";
import { arith } from "./arith.ts";
import { bits } from "./bits.ts";
import { control } from "./control.ts";
import { move } from "./move.ts";
import { muldiv } from "./muldiv.ts";
import { shifts } from "./shift.ts";
import { fastCalls } from "./fast_calls.ts";
import { interrupt } from "./interrupt.ts";
import { interruptReturn } from "./iret.ts";
import { stack } from "./stack.ts";
import { strings } from "./strings.ts";
import { system } from "./system.ts";
import { vector } from "./vector.ts";
import { vectorConvert } from "./vector_convert.ts";
import { vectorFp } from "./vector_fp.ts";
import { vectorMove } from "./vector_move.ts";
import { vectorSse4 } from "./vector_sse4.ts";
import { x87 } from "./x87.ts";

/** Semantic functions by the name that decode tables use. */
export const SEMANTICS: Readonly<Record<string, Semantic>> = {
  ...arith,
  ...bits,
  ...control,
  ...move,
  ...muldiv,
  ...shifts,
  ...fastCalls,
  ...interrupt,
  ...interruptReturn,
  ...stack,
  ...strings,
  ...system,
  ...vector,
  ...vectorConvert,
  ...vectorFp,
  ...vectorMove,
  ...vectorSse4,
  ...x87,
};
