/**
 * Handlers that execute several instructions in a row ("superinstructions"): fewer dispatches, and flags that a later one
 * overwrites are never computed.
 *
 * They are written by the same semantic functions, one after the other. Whatever leaves generated code in between leaves
 * with the record of the instruction it belongs to, so that counts and faults are those of the instructions alone.
 *
 * @module
 */
import * as L from "../layout.ts";
import type { Expr } from "../wasm/expr.ts";
import * as X from "../wasm/expr.ts";
import { FuncBody, I32 } from "../wasm/module.ts";
import { Emit, P_REC, type Runtime } from "./emit.ts";
import { SEQUENCES } from "./decode/sequences.ts";
import type { Form, Operand } from "./form.ts";
import { REC, REC_SIZE } from "./insn.ts";
import { type FlagKind, lazyWords } from "./semantics/flags.ts";
import { pendingCondition, type PendingFlags } from "./semantics/pending.ts";
import { SEMANTICS } from "./semantics/mod.ts";

/** Emits several records' instructions into one function. Flag updates are kept until somebody could see them. */
class FusedEmit extends Emit {
  /** Bytes between the function's record and the one whose instruction is being emitted. */
  #shift = 0;
  #last = false;
  #pending: PendingFlags | null = null;

  /** Moves to an instruction. */
  part(index: number, last: boolean): void {
    this.#shift = index * REC_SIZE;
    this.#last = last;
    this.rec = X.add(X.local(I32, P_REC), X.c32(this.#shift));
  }

  protected override recordLoad(size: number, off: number): Expr {
    return X.load(size, X.local(I32, P_REC), this.#shift + off);
  }

  override next(): void {
    if (!this.#last) return;
    this.#settle();
    super.next();
  }
  override jumpLinked(slot: number, rip: Expr): void {
    this.#settle();
    super.jumpLinked(slot, rip);
  }
  override jumpTo(rip: Expr): void {
    this.#settle();
    super.jumpTo(rip);
  }
  override leave(reason: number): void {
    this.#store();
    super.leave(reason);
  }
  protected override beforeSlow(): void {
    this.#store();
  }

  override if(cond: Expr, then: () => void, otherwise?: () => void): void {
    if (cond.op === 0x41) return super.if(cond, then, otherwise);
    const c = this.let(cond);
    this.#settle();
    const settled = (f: () => void) => () => {
      f();
      this.#settle();
    };
    super.if(c, settled(then), otherwise && settled(otherwise));
  }

  override state(size: number, offset: number): Expr {
    if (offset === L.LF_RES || offset === L.LF_AUX) this.#settle();
    return super.state(size, offset);
  }
  override setState(size: number, offset: number, value: Expr): void {
    if (offset === L.LF_RES || offset === L.LF_AUX) this.#settle();
    super.setState(size, offset, value);
  }
  override deferFlags(kind: FlagKind, size: number, a: Expr, b: Expr, r: Expr): boolean {
    if (kind === "inc" || kind === "dec") {
      const carry = this.knownCondition(1) ?? X.shrU(this.state(32, L.LF_AUX), X.c32(31));
      this.#pending = { kind, size, a: this.let(carry), b: a, r };
    } else if (kind === "raw") this.#pending = { kind, size, a: this.let(a), b, r: this.let(r) };
    else this.#pending = { kind, size, a, b, r };
    return true;
  }
  override knownCondition(cc: number): Expr | null {
    return this.#pending && pendingCondition(this.#pending, cc);
  }

  /** Makes the pending update on a path that leaves; on the others it stays pending. */
  #store(): void {
    const p = this.#pending;
    if (p === null) return;
    const w = lazyWords(this, p.kind, p.size, p.a, p.b, p.r);
    super.setState(64, L.LF_RES, w.res);
    super.setState(32, L.LF_AUX, w.aux);
  }
  #settle(): void {
    this.#store();
    this.#pending = null;
  }
}

/** The body of a handler for forms in a row. */
function fusedBody(rt: Runtime, forms: readonly Form[]): FuncBody {
  const body = new FuncBody([I32, I32]), e = new FusedEmit(rt, body);
  forms.forEach((f, i) => {
    e.part(i, i === forms.length - 1);
    SEMANTICS[f.name](e, f);
  });
  return body;
}

/** Where a run of instructions stands: what it may go on with, and its handler (-1: none of its own). */
export interface FusedNode {
  handler: number;
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
  define: (body: FuncBody) => number,
): FusedNode["next"] {
  const root: FusedNode["next"] = new Map();
  for (const long of [false, true]) {
    const byWord = new Map<string, number>();
    forms.forEach((f, i) => {
      const word = wordOf(f, long);
      if (word !== null) byWord.set(word, i);
    });
    for (const line of SEQUENCES.trim().split("\n")) {
      for (const words of spellings(line)) {
        const run = words.map((w) => byWord.get(w));
        if (run.includes(undefined)) continue;
        let next = root, node!: FusedNode;
        for (const i of run as number[]) {
          node = next.get(i) ?? { handler: -1, next: new Map() };
          next.set(i, node);
          next = node.next;
        }
        if (node.handler < 0) node.handler = define(fusedBody(rt, (run as number[]).map((i) => forms[i])));
      }
    }
  }
  return root;
}
