/**
 * A region becomes one WebAssembly function, of the same type as an interpreter's handler.
 *
 * @module
 */
import * as X from "../../wasm/expr.ts";
import { I32, ModuleBuilder } from "../../wasm/module.ts";
import * as L from "../../layout.ts";
import { REC, REC_SIZE } from "../insn.ts";
import { importRuntime } from "../runtime.ts";
import { condition } from "../semantics/flags.ts";
import { LINK_NEXT, LINK_TAKEN } from "../semantics/control.ts";
import { SEMANTICS } from "../semantics/mod.ts";
import type { CpuState } from "../state.ts";
import { ColdPaths } from "./cold_paths.ts";
import { compilable } from "./compilable.ts";
import { FlagsAt, type Pending } from "./emit_flags.ts";
import { JitEmit } from "./emit_jit.ts";
import { flagForms } from "./flag_liveness.ts";
import { type RegionBlock, RETURN } from "./region.ts";
import { type Edge, planScopes } from "./scopes.ts";

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

/** One compilation. */
class RegionCompiler {
  readonly #labels: { at: number; loop: boolean; label: number }[] = [];
  readonly #flagsAt: number[];
  /** Pending flags that a block inherits: it has one predecessor. */
  readonly #inherited = new Map<RegionBlock, Pending | null>();
  readonly #predecessors = new Map<RegionBlock, number>();

  constructor(readonly e: JitEmit, readonly blocks: readonly RegionBlock[], readonly code64: boolean) {
    this.#flagsAt = flagForms(e.s, blocks);
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
    for (const x of edges) {
      if (scopes.leaving.has(x)) continue;
      const to = blocks[x.to];
      internal.set(`${x.from}:${x.slot}`, to);
      this.#predecessors.set(to, (this.#predecessors.get(to) ?? (x.to === 0 ? 1 : 0)) + 1);
    }
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
    const { e } = this, inherited = this.#inherited.get(b);
    e.startFlags(inherited === undefined ? this.#flagsAt[b.position] : FlagsAt.HOT);
    if (inherited) e.flags = inherited;
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
    const at = this.#flagsAt[to.position], p = e.flags;
    if (at !== FlagsAt.DEAD && p?.kind !== "carried" && this.#predecessors.get(to) === 1) {
      this.#inherited.set(to, p);
    } else e.passFlags(at);
    this.#go(from, to);
    e.flags = p;
  }

  #go(from: RegionBlock, to: RegionBlock): void {
    const loop = to.position <= from.position;
    for (const l of this.#labels) if (l.at === to.position && l.loop === loop) return this.e.goTo(l.label);
    throw new Error("Cannot compile a region: an edge has no scope");
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
  m.name = "compiled";
  m.memoryPages = [memoryPages, memoryPages];
  m.tableType = m.type([I32, I32], []);
  m.importTable = tableSize;
  const rt = importRuntime(m);
  const e = new JitEmit(rt, s, new ColdPaths(m, rt), code64);
  new RegionCompiler(e, blocks, code64).emit();
  e.finish();
  m.export("f", m.func([I32, I32], [], e.body));
  return m.encode();
}
