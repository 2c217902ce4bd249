/**
 * Handlers that execute several instructions in a row ("superinstructions"): fewer dispatches, and flags that a later one
 * overwrites are never computed.
 *
 * They are written by the same semantic functions, one after the other. Whatever leaves generated code in between leaves
 * with the record of the instruction it belongs to, so that counts and faults are those of the instructions alone.
 *
 * @module
 */
import * as X from "../wasm/expr.ts";
import { FuncBody, I32 } from "../wasm/module.ts";
import type { Runtime } from "./emit.ts";
import { SEQUENCES } from "./decode/sequences.ts";
import type { Form, Operand } from "./form.ts";
import { FusedEmit } from "./fuse_emit.ts";
import { LoopEmit } from "./fuse_loop.ts";
import { REC } from "./insn.ts";
import { condition } from "./semantics/flags.ts";
import { SEMANTICS } from "./semantics/mod.ts";

/** The body of a handler for forms in a row. */
function fusedBody(rt: Runtime, forms: readonly Form[]): FuncBody {
  const body = new FuncBody([I32, I32]), e = new FusedEmit(rt, body);
  forms.forEach((f, i) => {
    e.part(i, i === forms.length - 1);
    SEMANTICS[f.name](e, f);
  });
  return body;
}

/**
 * The body of a handler for a loop: a sequence that ends in a branch.
 * @param odd number of the branch's form with the opposite condition: one handler does for both
 * @param self number of this handler
 */
function loopBody(rt: Runtime, forms: readonly Form[], odd: number, self: number): FuncBody {
  const branch = forms.length - 1;
  const emit = (ends: LoopEmit["last"]): [FuncBody, LoopEmit] => {
    const body = new FuncBody([I32, I32]), e = new LoopEmit(rt, body, branch, ends);
    e.rounds(() => {
      forms.forEach((f, i) => {
        e.part(i, i === branch);
        if (i < branch) return SEMANTICS[f.name](e, f);
        e.repeat(X.xor(condition(e, f.sub), X.eq(e.field16(REC.FORM), X.c32(odd))), self);
      });
    });
    return [body, e];
  };
  return emit(emit(null)[1].last)[0];
}

/** Where a run of instructions stands: what it may go on with, and its handler (-1: none of its own). */
export interface FusedNode {
  handler: number;
  /** Handler of a block that is this run as a whole and repeats itself (-1: as above). */
  loop: number;
  /** By the next instruction's own handler. */
  readonly next: Map<number, FusedNode>;
}

/** Instructions whose size is the mode's, and those among them that use the stack. */
const MODE_SIZED = new Set(["jcc", "jmp", "ret", "call", "push", "pop", "leave"]);
const STACK = new Set(["ret", "call", "push", "pop", "leave"]);

/** Word for a form in 32-bit flat or 64-bit code as `SEQUENCES` writes it; null for a form of another mode. */
export function wordOf(f: Form, long: boolean): string | null {
  const kind = long ? "L" : "F", sized = MODE_SIZED.has(f.name);
  if (f.ops.some((o) => o.k === "mem" && f.addr !== kind || o.size === 64 && !long)) return null;
  if (f.name === "lea" && f.sub !== (long ? 64 : 32)) return null;
  if (STACK.has(f.name) && (f.stack !== kind || f.name === "ret" && f.code64 !== long)) return null;
  if (sized && f.size !== (long ? 64 : 32)) return null;
  // The one-byte encodings of 32-bit code and the two-byte ones of 64-bit code: the usual ones go by one word.
  const step = f.name === "inc" || f.name === "dec", [first] = f.ops;
  if (step && first.k === "reg" && (first.at === REC.R0) === long) return null;
  const letter = (o: Operand): string => {
    if (o.k === "reg") return o.at === REC.R0 && !step ? "g" : "e";
    if (o.k === "gpr") return o.n === 0 ? "a" : "c";
    return o.k === "mem" ? "m" : o.k === "imm" ? "i" : o.k;
  };
  const operands = f.ops.map((o) => letter(o) + (sized || o.size === f.size ? "" : o.size));
  const name = f.name + (sized ? "" : f.size) + (operands.length > 0 ? `:${operands}` : "");
  return f.sub !== 0 || f.name === "jcc" || f.name === "cmov" || f.name === "setcc"
    ? `${name}.${f.sub}`
    : name;
}

/** All ways to read one line: `jcc.N` is the condition and its opposite. */
export function spellings(line: string): string[][] {
  const words = line.trim().split(" "), last = words[words.length - 1];
  if (!last.startsWith("jcc.")) return [words];
  return [0, 1].map((odd) => [...words.slice(0, -1), `jcc.${Number(last.slice(4)) | odd}`]);
}

/**
 * Makes the handlers of all sequences.
 * @param forms all forms; a form's index is the number of its own handler
 * @param define adds a handler to the table; returns its number
 * @returns where a run may start
 */
export function fuseSequences(
  rt: Runtime,
  forms: readonly Form[],
  define: (make: (handler: number) => FuncBody) => number,
): FusedNode["next"] {
  const root: FusedNode["next"] = new Map();
  for (const long of [false, true]) {
    const byWord = new Map<string, number>();
    forms.forEach((f, i) => {
      const word = wordOf(f, long);
      if (word !== null) byWord.set(word, i);
    });
    for (const line of SEQUENCES.trim().split("\n")) {
      const runs = spellings(line).map((words) => words.map((w) => byWord.get(w) ?? -1));
      if (runs.some((run) => run.includes(-1))) continue;
      const [even, odd] = runs.map((run) => nodeOf(root, run));
      runs.forEach((run, i) => {
        const node = i === 0 ? even : odd;
        if (node.handler < 0) node.handler = define(() => fusedBody(rt, run.map((n) => forms[n])));
      });
      if (odd === undefined || !repeats(runs[0].map((n) => forms[n]))) continue;
      const branch = runs[1].length - 1;
      even.loop = define((self) => loopBody(rt, runs[0].map((n) => forms[n]), runs[1][branch], self));
      odd.loop = even.loop;
    }
  }
  return root;
}

/** True when a sequence that ends in a branch may be a loop: a comparison alone would never end. */
function repeats(forms: readonly Form[]): boolean {
  return forms.length > 2 || !["cmp", "test", "mov"].includes(forms[0].name);
}

/** The node of a run, made where there is none. */
function nodeOf(root: FusedNode["next"], run: readonly number[]): FusedNode {
  let next = root, node!: FusedNode;
  for (const i of run) {
    node = next.get(i) ?? { handler: -1, loop: -1, next: new Map() };
    next.set(i, node);
    next = node.next;
  }
  return node;
}
