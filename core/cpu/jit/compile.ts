/**
 * A region becomes one WebAssembly function, of the same type as an interpreter's handler.
 *
 * @module
 */
import * as X from "../../wasm/expr.ts";
import { FuncBody, I32, I64, ModuleBuilder } from "../../wasm/module.ts";
import { Emit, type Runtime } from "../emit.ts";
import * as L from "../../layout.ts";
import type { Form } from "../form.ts";
import { REC, REC_SIZE } from "../insn.ts";
import { importRuntime } from "../runtime.ts";
import { condition, type FlagKind, lazyWords, setLazy } from "../semantics/flags.ts";
import { LINK_NEXT, LINK_TAKEN } from "../semantics/control.ts";
import { SEMANTICS } from "../semantics/mod.ts";
import type { CpuState } from "../state.ts";
import { type ColdPaths, JitEmit } from "./emit_jit.ts";
import { type RegionBlock, RETURN } from "./region.ts";
import { type Edge, planScopes } from "./scopes.ts";

/** Semantic functions that keep to the `Emit` interface in a way the compiler can follow. */
const COMPILED = new Set([
  "add",
  "or",
  "adc",
  "sbb",
  "and",
  "sub",
  "xor",
  "cmp",
  "test",
  "inc",
  "dec",
  "neg",
  "not",
  "xadd",
  "cmpxchg",
  "cmc",
  "clc",
  "stc",
  "cld",
  "std",
  "rol",
  "ror",
  "rcl",
  "rcr",
  "shl",
  "shr",
  "sal",
  "sar",
  "shld",
  "shrd",
  "mul",
  "imul",
  "imul2",
  "div",
  "idiv",
  "mov",
  "movzx",
  "movsx",
  "lea",
  "xchg",
  "cmov",
  "setcc",
  "cbw",
  "cwd",
  "bswap",
  "movbe",
  "lahf",
  "sahf",
  "nop",
  "push",
  "pop",
  "call",
  "call_ind",
  "jmp_ind",
  "ret",
  "leave",
  "bt",
  "bts",
  "btr",
  "btc",
  "bsf",
  "bsr",
  "popcnt",
  "tzcnt",
  "lzcnt",
  "lanes",
  "andn",
  "unpack",
  "mova",
  "movu",
  "mov_scalar",
  "movq",
  "mov_in",
  "mov_out",
  "movhl",
  "movlh",
  "load_high",
  "store_high",
  "pshufd",
  "shufps",
  "shufpd",
  "mask",
  "vshift",
  "vshift_imm",
  "byte_shift",
  "pmuludq",
  "mov_part",
  "dup_lanes",
  "movddup",
  "pack",
  "pmulhw",
  "psadbw",
  "pshuf_half",
  "pinsrw",
  "pextrw",
  "pshufb",
  "horizontal",
  "pmaddubsw",
  "psign",
  "pmulhrsw",
  "vector_unary",
  "palignr",
  "blendv",
  "blend",
  "insertps",
  "extract",
  "insert",
  "ptest",
  "pmuldq",
  "phminposuw",
  "mpsadbw",
  "fp_add",
  "fp_sub",
  "fp_mul",
  "fp_div",
  "fp_sqrt",
  "fp_min",
  "fp_max",
  "fp_compare",
  "fp_round",
  "comis",
  "cvt_from_int",
  "cvt_to_int",
  "cvt_widen",
  "cvt_narrow",
  "cvt_widen_packed",
  "cvt_narrow_packed",
  "cvt_dq2pd",
  "cvt_dq2ps",
  "cvt_to_dq",
  "sys",
  "pushf",
  "cli",
  "mov_from_sreg",
]);
/** Instructions that set all flags, read none, and cannot leave in between. */
const SETS_FLAGS = new Set(["add", "or", "and", "sub", "xor", "cmp", "test", "neg"]);
/** Instructions that neither read nor set flags nor leave, without a memory operand. */
const IGNORES_FLAGS = new Set(["mov", "movzx", "movsx", "lea", "nop", "not", "bswap", "cbw", "cwd", "xchg"]);

/** RIP of a record. */
function ripOf(s: CpuState, rec: number): X.Expr {
  return X.c64w(s.view.getInt32(rec + REC.RIP_LO, true), s.view.getInt32(rec + REC.RIP_HI, true));
}
/** True when two blocks lie in one page: whoever executes the one may go on to the other. */
function samePage(s: CpuState, a: RegionBlock, b: RegionBlock): boolean {
  const page = (r: number) => s.u32[(r + REC.RIP_LO) >> 2] >>> 12,
    hi = (r: number) => s.i32[(r + REC.RIP_HI) >> 2];
  return page(a.rec) === page(b.rec) && hi(a.rec) === hi(b.rec);
}

/** True when the compiler can emit an instruction itself. */
function compilable(f: Form, code64: boolean): boolean {
  if (!COMPILED.has(f.name)) return false;
  if (f.stack === "G") return false;
  if (f.ops.some((o) => o.k === "mm")) return false;
  if (!code64 && f.addr === "G") return false;
  return !(f.addr === "G" && /^bt/.test(f.name));
}

/** True when the flags at a block's start are overwritten before anything could see them. */
function flagsDead(b: RegionBlock): boolean {
  for (const f of b.forms) {
    if (f.ops.some((o) => o.k === "mem")) return false;
    if (SETS_FLAGS.has(f.name)) return true;
    if (!IGNORES_FLAGS.has(f.name)) return false;
  }
  return false;
}

/** One compilation. */
class RegionCompiler {
  readonly #labels: { at: number; loop: boolean; label: number }[] = [];
  readonly #dead: boolean[];

  constructor(readonly e: JitEmit, readonly blocks: readonly RegionBlock[], readonly code64: boolean) {
    this.#dead = blocks.map(flagsDead);
  }

  /** Emits all blocks with their scopes. */
  emit(): void {
    const { e, blocks } = this, n = blocks.length;
    const edges: (Edge & { slot: number })[] = [];
    for (const b of blocks) {
      for (const x of b.edges) edges.push({ from: b.position, to: x.to.position, slot: x.slot });
    }
    const scopes = planScopes(n, edges);
    const internal = new Map<string, RegionBlock>();
    for (const x of edges) if (!scopes.leaving.has(x)) internal.set(`${x.from}:${x.slot}`, blocks[x.to]);
    for (let p = 0; p < n; p++) {
      this.#closeBefore(p, scopes.loopEnd);
      this.#openAt(p, n, scopes.loopEnd, scopes.blockStart);
      this.#block(blocks[p], (slot) => internal.get(`${p}:${slot}`) ?? null);
    }
    while (this.#labels.length) this.#close();
    e.body.code.u8(0x00); // unreachable: every block ends in a branch or leaves
  }

  #close(): void {
    this.#labels.pop();
    this.e.close();
  }

  #closeBefore(p: number, loopEnd: Int32Array): void {
    for (;;) {
      const top = this.#labels[this.#labels.length - 1];
      if (!top || !(top.loop ? loopEnd[top.at] < p : top.at === p)) return;
      this.#close();
    }
  }

  #openAt(p: number, n: number, loopEnd: Int32Array, blockStart: Int32Array): void {
    const open = (at: number, loop: boolean) => this.#labels.push({ at, loop, label: this.e.open(loop) });
    for (let t = n - 1; t > p; t--) if (blockStart[t] === p && t > loopEnd[p]) open(t, false);
    if (loopEnd[p] < 0) return;
    open(p, true);
    for (let t = loopEnd[p]; t > p; t--) if (blockStart[t] === p) open(t, false);
  }

  #block(b: RegionBlock, internal: (slot: number) => RegionBlock | null): void {
    const { e } = this;
    e.dropFlags();
    const link = (slot: number, rip: X.Expr) => {
      const to = internal(slot);
      if (to) this.#guarded(b, to);
      if (!to || !samePage(e.s, b, to)) e.leaveLinked(slot, rip);
    };
    const back = internal(RETURN);
    e.onLink = link;
    e.onJump = back
      ? (target) => e.fork(X.eq(target, ripOf(e.s, back.rec)), () => this.#guarded(b, back), true)
      : null;
    for (let i = 0; i < b.count; i++) {
      const f = b.forms[i];
      e.at(b.rec + i * REC_SIZE);
      if (f.name === "jmp") return link(LINK_TAKEN, e.field64(24));
      if (f.name === "jcc") {
        e.fork(e.let(condition(e, f.sub)), () => link(LINK_TAKEN, e.field64(24)));
        return link(LINK_NEXT, e.nextRip());
      }
      if (!compilable(f, this.code64)) return e.interpret(b.handlers[i]);
      SEMANTICS[f.name](e, f);
      if (!b.closes && i === b.count - 1) return;
    }
    e.at(b.rec + b.count * REC_SIZE);
    link(LINK_TAKEN, e.field64(24));
  }

  /** Branches to a block; when it lies in another page, only while its translation holds. */
  #guarded(from: RegionBlock, to: RegionBlock): void {
    const { e } = this;
    if (samePage(e.s, from, to)) return this.#edge(from, to);
    const mode = e.s.i32[L.MODE >> 2];
    e.fork(e.stillThere(to.rec, to.count, mode), () => this.#edge(from, to), true);
  }

  /** Pays for a block of the region and branches to it. */
  #edge(from: RegionBlock, to: RegionBlock): void {
    const { e } = this;
    e.set(e.bud, X.sub(e.bud, X.c32(to.count)));
    e.unlikely(X.ltS(e.bud, X.c32(0)), () => e.leaveForBudget(to.rec));
    if (this.#dead[to.position]) e.fork(X.c32(1), () => this.#go(from, to));
    else {
      e.settleFlags();
      this.#go(from, to);
    }
  }

  #go(from: RegionBlock, to: RegionBlock): void {
    const loop = to.position <= from.position;
    for (const l of this.#labels) if (l.at === to.position && l.loop === loop) return this.e.goTo(l.label);
    throw new Error("Cannot compile a region: an edge has no scope");
  }
}

/** Cold-path functions of one module, defined as they are needed. */
class ModuleColdPaths implements ColdPaths {
  readonly #defined = new Map<string, number>();
  constructor(readonly m: ModuleBuilder, readonly rt: Runtime) {}

  storeFlags(kind: FlagKind, size: number): number {
    const key = kind + size, t = size === 64 ? I64 : I32;
    const known = this.#defined.get(key);
    if (known !== undefined) return known;
    const body = new FuncBody([t, t, t]), e = new Emit(this.rt, body);
    const w = lazyWords(e, kind, size, X.local(t, 0), X.local(t, 1), X.local(t, 2));
    setLazy(e, w.res, w.aux);
    const f = this.m.func([t, t, t], [], body);
    this.#defined.set(key, f);
    return f;
  }

  /** A function that stores registers, and with `flags` the flag words, given as parameters. */
  spill(registers: readonly number[], flags: boolean): number {
    const params = registers.map(() => I64).concat(flags ? [I64, I32] : []);
    const body = new FuncBody(params), e = new Emit(this.rt, body), n = registers.length;
    registers.forEach((r, i) => e.store(64, X.c32(0), X.local(I64, i), L.GPR + r * 8));
    if (flags) setLazy(e, X.local(I64, n), X.local(I32, n + 1));
    return this.m.func(params, [], body);
  }
}

/** Compiles a region to a module with one exported function "f". */
export function compileRegion(
  s: CpuState,
  blocks: readonly RegionBlock[],
  tableSize: number,
  code64: boolean,
): Uint8Array {
  const m = new ModuleBuilder(), memoryPages = s.u8.length / 65536;
  m.memoryPages = [memoryPages, memoryPages];
  m.tableType = m.type([I32, I32], []);
  m.importTable = tableSize;
  const rt = importRuntime(m), cold = new ModuleColdPaths(m, rt);
  const e = new JitEmit(rt, s, cold);
  new RegionCompiler(e, blocks, code64).emit();
  e.finish(cold.spill(e.written, false), cold.spill(e.written, true));
  m.export("f", m.func([I32, I32], [], e.body));
  return m.encode();
}
