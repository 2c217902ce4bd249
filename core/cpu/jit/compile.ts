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
import { type Plan, planRegion } from "./plan.ts";
import type { RegionBlock } from "./region.ts";

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
  /** Pending flags that a block inherits: there is one way to it. */
  readonly #inherited = new Map<RegionBlock, Pending | null>();

  constructor(
    readonly e: JitEmit,
    readonly blocks: readonly RegionBlock[],
    readonly plan: Plan,
    readonly code64: boolean,
  ) {
    this.#flagsAt = flagForms(e.s, blocks, plan);
  }

  /** Emits the dispatcher and all blocks with their scopes. */
  emit(handler: number): void {
    const { e, blocks, plan } = this, n = blocks.length + 1;
    for (let p = 0; p < n; p++) {
      this.#closeBefore(p, plan.scopes.loopEnd);
      this.#openAt(p, n, plan.scopes.loopEnd, plan.scopes.blockStart);
      if (p > 0) this.#block(blocks[p - 1]);
      else {
        e.startFlags(this.#flagsAt[0]);
        const labels = plan.entries.map((b) => this.#label(b.position, false));
        e.dispatcher(handler, labels, plan.needs[0]);
      }
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

  #block(b: RegionBlock): void {
    const { e } = this, inherited = this.#inherited.get(b);
    e.startFlags(inherited === undefined ? this.#flagsAt[b.position] : FlagsAt.HOT);
    if (inherited) e.flags = inherited;
    const link = (slot: number, rip: X.Expr) => {
      const key = `${b.position}:${slot}`, to = this.plan.direct.get(key) ?? this.plan.dispatched.get(key);
      if (to) this.#guarded(b, to, this.plan.direct.has(key));
      if (!to || !samePage(e.s, b, to)) e.leaveLinked(slot, rip);
    };
    e.onLink = link;
    e.onJump = (target) => {
      e.passFlags(this.#flagsAt[0]);
      e.dispatchTo(target, this.#label(0, true));
    };
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
  #guarded(from: RegionBlock, to: RegionBlock, direct: boolean): void {
    const { e } = this;
    if (samePage(e.s, from, to)) return this.#edge(from, to, direct);
    const mode = e.s.i32[L.MODE >> 2];
    e.fork(e.stillThere(to.rec, to.count, mode), () => this.#edge(from, to, direct), true);
  }

  /**
   * Pays for a block of the region and goes to it. The budget is looked at where a loop begins again and in the dispatcher: it
   * must then cover the longest way to the next such place.
   */
  #edge(from: RegionBlock, to: RegionBlock, direct: boolean): void {
    const { e, plan } = this;
    e.set(e.bud, X.sub(e.bud, X.c32(to.count)));
    if (direct && to.position <= from.position) e.checkBudget(X.c32(to.rec), plan.needs[to.position]);
    const at = this.#flagsAt[direct ? to.position : 0], p = e.flags;
    if (direct && at !== FlagsAt.DEAD && p?.kind !== "carried" && plan.ways.get(to) === 1) {
      this.#inherited.set(to, p);
    } else e.passFlags(at);
    if (direct) e.goTo(this.#labelOf(to));
    else e.dispatchIndex(plan.entries.indexOf(to), to.rec, this.#label(0, true));
    e.flags = p;
  }

  /** The innermost open scope for a block: its loop inside the loop, else its start. */
  #labelOf(to: RegionBlock): number {
    const open = this.#labels.some((l) => l.loop && l.at === to.position);
    return this.#label(to.position, open);
  }
  #label(at: number, loop: boolean): number {
    const found = this.#labels.find((l) => l.at === at && l.loop === loop);
    if (found === undefined) throw new Error("Cannot compile a region: an edge has no scope");
    return found.label;
  }
}

/** A compiled region. */
export interface CompiledRegion {
  /** A module with one exported function "f". */
  bytes: Uint8Array;
  /** Records of the blocks that can be entered; "f" finds each's index in the second half-word of its header. */
  entries: number[];
}

/**
 * Compiles a region.
 * @param handler index of the function in the table
 * @param required records of blocks that must be enterable
 */
export function compileRegion(
  s: CpuState,
  blocks: readonly RegionBlock[],
  tableSize: number,
  handler: number,
  required: ReadonlySet<number>,
): CompiledRegion {
  const m = new ModuleBuilder(), memoryPages = s.u8.length / 65536, { code64 } = s;
  m.name = "compiled";
  m.memoryPages = [memoryPages, memoryPages];
  m.tableType = m.type([I32, I32], []);
  m.importTable = tableSize;
  const rt = importRuntime(m), plan = planRegion(blocks, required);
  const e = new JitEmit(rt, s, new ColdPaths(m, rt), code64);
  new RegionCompiler(e, blocks, plan, code64).emit(handler);
  e.finish();
  m.export("f", m.func([I32, I32], [], e.body));
  return { bytes: m.encode(), entries: plan.entries.map((b) => b.rec) };
}
