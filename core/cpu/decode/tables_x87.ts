/**
 * Opcodes D8 to DF: ModRM names memory or not, and ModRM.reg chooses. Source: Intel SDM volume 2, appendix A, tables.
 *
 * @module
 */
import type { Spec } from "./tables.ts";

/** What only the system operation does. */
const ELSE = "@x87 M ;x87";
const line = (name: string, operands: string, sub: number, flags = ""): string =>
  `${name} ${operands};sys=x87 sub=${sub}${operands === "" ? " s8" : ""}${flags}`;
const memory = (name: string, operand: string, sub = 0): string => line(name, `${operand} `, sub);
const register = (name: string, sub = 0, flags = ""): string => line(name, "", sub, flags);
/** Only with one value of ModRM.rm. */
const only = (rm: number, spec: string): Spec => ({
  rm: Array.from({ length: 8 }, (_, n) => n === rm ? spec : ELSE),
});
/** DC and DE name the reversed subtraction and division with exchanged ModRM.reg values. */
const swapped = (reg: number): number => reg >= 4 ? reg ^ 1 : reg;

const NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7];
const toI = (pop: number) => NUMBERS.map((r) => register("x87_register", 8 | pop | swapped(r)));
const compare = (pops: number): string => register("x87_compare", pops);
/** `common` with some ModRM.reg values replaced. */
const but = (common: string[], others: Record<number, Spec>): Spec[] => common.map((s, r) => others[r] ?? s);
const none = NUMBERS.map(() => ELSE);
const toFlags = (pop: number): string => register("x87_compare_flags", pop, " cpu=cmov else=sys");

/** D8 to DF. */
export const X87: Spec[] = [
  {
    mem: NUMBERS.map((r) => memory("x87_memory", "Md", r)),
    reg: but(NUMBERS.map((r) => register("x87_register", r)), { 2: compare(0), 3: compare(1) }),
  },
  {
    mem: but(none, {
      0: memory("x87_load", "Md"),
      2: memory("x87_store", "Md", 2),
      3: memory("x87_store", "Md", 3),
    }),
    reg: but(none, {
      0: register("x87_load_register"),
      1: register("x87_exchange"),
      4: register("x87_sign"),
      5: register("x87_constant"),
    }),
  },
  {
    mem: NUMBERS.map((r) => memory("x87_memory_int", "Md", r)),
    reg: but(none, { 5: only(1, compare(2)) }),
  },
  {
    mem: but(none, { 0: memory("x87_load_int", "Md") }),
    reg: but(none, { 5: toFlags(0), 6: toFlags(0) }),
  },
  {
    mem: NUMBERS.map((r) => memory("x87_memory", "Mq", r)),
    reg: but(toI(0), { 2: compare(0), 3: compare(1) }),
  },
  {
    mem: but(none, {
      0: memory("x87_load", "Mq"),
      2: memory("x87_store", "Mq", 2),
      3: memory("x87_store", "Mq", 3),
    }),
    reg: but(none, {
      1: register("x87_exchange"),
      2: register("x87_store_register"),
      3: register("x87_store_register", 1),
      4: compare(0),
      5: compare(1),
    }),
  },
  {
    mem: NUMBERS.map((r) => memory("x87_memory_int", "Mw", r)),
    reg: but(toI(16), { 2: compare(1), 3: only(1, compare(2)) }),
  },
  {
    mem: but(none, { 0: memory("x87_load_int", "Mw"), 5: memory("x87_load_int", "Mq") }),
    reg: but(none, { 5: toFlags(1), 6: toFlags(1) }),
  },
];
