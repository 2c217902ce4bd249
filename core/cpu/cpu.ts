/**
 * The processor: dispatches between generated code and the TypeScript half, and keeps the exact instruction count.
 *
 * @module
 */
import * as L from "../layout.ts";
import { Mmu } from "../mmu/mmu.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { admit } from "./admit.ts";
import { jumpCached, linkBranch, rememberBlock } from "./block_links.ts";
import { CODE_END, CodeCache } from "./code_cache.ts";
import { type Core, STACK_SHADOW, Waiting } from "./core.ts";
import type { CpuidPolicy } from "./cpuid.ts";
import type { DebugStops } from "./debug_stops.ts";
import { Decoder } from "./decode/decoder.ts";
import { allForms } from "./decode/forms.ts";
import { GuestBreakpoints } from "./guest_breakpoints.ts";
import { type CpuHooks, GuestFault, Vec } from "./hooks.ts";
import { Insn, REC } from "./insn.ts";
import type { Instrument } from "./instrument/instrument.ts";
import { createInterpreter, type Interpreter, type Variant } from "./interp.ts";
import { Jit } from "./jit/jit.ts";
import { Leave } from "./leave.ts";
import { ModeTracker } from "./mode.ts";
import { CpuState, Fl, Seg } from "./state.ts";
import { type Counter, Stopped } from "./stopped.ts";
import { breakpointsAt, trapsBehind } from "./stepping.ts";
import { deliver, type EventKind } from "./system/exceptions.ts";
import { SYS_OPS, type SysOp } from "./system/ops.ts";
import { SYSTEM_OPERATIONS } from "./system/mod.ts";
import { segmentAllows } from "./system/segments.ts";
import { WaitingEvents } from "./waiting_events.ts";
import { SF_WRITE } from "./emit.ts";

export { type Counter, Stopped };

const WAIT = L.WAITING >> 2, LOOK = Waiting.CHECK | Waiting.NMI;
const HORIZON = L.HORIZON >> 3, SKIPPED = L.CLOCK_SKIPPED >> 3;
const LEAVE = L.LEAVE >> 2, REC_AT = L.LEAVE_REC >> 2, BUD = L.BUDGET >> 2, SLOT = L.LINK_SLOT >> 2;
/** Most instructions between two returns to the dispatcher: long loops must come back (no on-stack replacement). */
const SLICE = 1 << 20;

const OP_ICEBP = SYS_OPS.indexOf("icebp");
const OP_IRET = SYS_OPS.indexOf("iret"), OP_SYSRET = SYS_OPS.indexOf("sysret");

/** One processor core; the active vCPU's state is in the WebAssembly memory. */
export class Cpu extends WaitingEvents implements Core {
  readonly mmu: Mmu;
  readonly insn: Insn;
  readonly code: CodeCache;
  readonly #interp: Interpreter;
  readonly #ops: (SysOp | undefined)[];
  readonly #mode: ModeTracker;
  readonly #guestBreakpoints: GuestBreakpoints;
  readonly #threshold: number;
  /** The compiler; null: everything is interpreted. */
  readonly jit: Jit | null;

  halted = false;
  pendingDb = 0;
  msrLo = 0;
  msrHi = 0;
  /** `hooks.interruptBlocked` has been asked since the last change of an interrupt controller or delivery. */
  interruptNoted = false;
  /** Instruction count at which `run` returns; may be lowered while it runs. */
  limit = 0;
  /** A debugger's breakpoints and watchpoints; null: nobody debugs. */
  debug: DebugStops | null = null;
  #asked = false;
  #shutdown = false;
  /** RIP of the instruction that touches the world around the processor (valid inside hooks). */
  currentRip = 0;
  /** Count from which the budget of the code now running is taken. */
  #horizon = 0;
  /** What runs now: nothing, generated code, an instruction or event in TypeScript. */
  #running: 0 | 1 | 2 = 0;
  /** Whoever looks on at execution; null: nobody. Set by `setInstrument`. */
  #instrument: Instrument | null = null;
  #slice = SLICE;
  /** An exception or interrupt is being delivered. */
  delivering = false;

  /** @param threshold how often a block runs before it is compiled; 0: never compile */
  constructor(
    mem: PhysMem,
    readonly hooks: CpuHooks,
    readonly policy: CpuidPolicy,
    readonly counter: Counter,
    threshold = 0,
  ) {
    super(new CpuState(mem));
    this.mmu = new Mmu(this.s, mem);
    admit(this.mmu, policy);
    this.mmu.hooks = {
      mmioRead: (gpa, size, linear) => hooks.mmioRead(gpa, size, linear),
      mmioWrite: (gpa, size, value, linear) => hooks.mmioWrite(gpa, size, value, linear),
    };
    this.insn = new Insn(this.s);
    this.#guestBreakpoints = new GuestBreakpoints(this.s, this.mmu);
    this.#mode = new ModeTracker(this.s, () => this.code.clear());
    this.#ops = SYS_OPS.map((name) => SYSTEM_OPERATIONS[name]);
    this.#interp = this.createInterpreter();
    const decoder = new Decoder((feature) => policy.has(feature));
    this.code = new CodeCache(this.s, this.mmu, decoder, this.#interp.handlers, this.#interp.fused);
    this.code.threshold = this.#threshold = threshold;
    this.jit = threshold > 0 ? new Jit(this.s, this.#interp, mem.memory, this.code) : null;
    this.code.onKill = (rec, handler) => this.jit?.release(rec, handler);
    this.code.onClear = () => this.jit?.reset();
    mem.onRemap = () => this.mmu.flushAll();
    this.mmu.executingPage = () => this.#executingPage();
  }

  /** An interpreter on this processor: plain, or a variant that tells more. */
  createInterpreter(variant?: Variant): Interpreter {
    return createInterpreter(allForms, this.mmu.mem.memory, {
      slowLoad: (size, flags) => this.mmu.slowLoad(size, flags),
      slowStore: (size, flags) => this.mmu.slowStore(size, flags),
      commitStore: () => this.mmu.commitStore(),
      segmentCheck: (seg, offset, sizeFlags) => this.#segmentCheck(seg, offset >>> 0, sizeFlags),
    }, variant);
  }

  /** @see Core.updateMode */
  updateMode(): void {
    const was64 = (this.s.i32[L.MODE >> 2] & 3) === 2;
    this.#mode.update();
    // The upper halves are undefined after 64-bit code (SDM volume 1, 3.4.1.1); compiled code counts on zeros.
    if (was64 && !this.s.code64) { for (let n = 0; n < 8; n++) this.s.i32[(L.GPR >> 2) + n * 2 + 1] = 0; }
    this.mmu.selectSets();
    this.#guestBreakpoints.refresh();
  }

  /** Makes `run` return at the next instruction boundary the dispatcher sees. */
  requestReturn(): void {
    this.#asked = true;
  }

  /**
   * Runs until the instruction count equals `limit` or something else stops it.
   * @returns a `Stopped` value
   */
  run(limit: number): number {
    const { s, counter } = this;
    this.limit = limit;
    this.#shutdown = false;
    for (;;) {
      if (this.#shutdown) return Stopped.SHUTDOWN;
      if (this.#asked) {
        this.#asked = false;
        return Stopped.ASKED;
      }
      if (s.i32[WAIT] & LOOK) {
        this.#interrupts();
        if (this.#shutdown) return Stopped.SHUTDOWN;
      }
      if (this.halted) return Stopped.HALTED;
      if (counter.icount >= this.limit) return Stopped.LIMIT;
      if (this.debug !== null && this.debug.due()) return Stopped.DEBUG;
      const { u32 } = s;
      try {
        if (
          u32[L.INT_SHADOW >> 2] !== 0 || (u32[L.FLAGS >> 2] & Fl.TF) !== 0 ||
          u32[L.HELD_BREAKPOINTS >> 2] !== 0 || this.#guestBreakpoints.steps
        ) {
          this.#step();
        } else this.#go();
      } catch (e) {
        this.#caught(e);
      }
    }
  }

  /**
   * Replaces the interpreter and the compiled code by an instrumented interpreter, or puts them back (null). Never
   * visible to the guest. Not to be called while it runs.
   */
  setInstrument(instrument: Instrument | null): void {
    this.#instrument = instrument;
    this.#slice = instrument?.slice ?? SLICE;
    this.code.threshold = instrument === null ? this.#threshold : 0;
    this.code.fuses = instrument === null;
    this.code.end = instrument?.codeEnd ?? CODE_END;
    this.code.onRecord = instrument && ((rec, from, at, length) => instrument.decoded(rec, from, at, length));
    this.code.clear();
  }

  /** Instructions retired before what happens now; exact at any time, unlike the counter while generated code runs. */
  get hereIcount(): number {
    if (this.#running !== 1) return this.counter.icount;
    const { i32, u8 } = this.s;
    return this.#horizon - i32[BUD] - u8[i32[REC_AT] + REC.REM];
  }

  /** RIP of the instruction in hand; of the next one between instructions. Exact in slow paths and in hooks. */
  get hereRip(): number {
    if (this.#running === 0) return this.s.rip;
    return this.#running === 1 ? this.#ripOf(this.s.i32[REC_AT]) : this.currentRip;
  }

  /** Runs blocks from RIP. */
  #go(): void {
    const { s, counter } = this, { i32 } = s, slot = i32[SLOT];
    const known = this.debug === null && slot === 0 ? jumpCached(s) : 0;
    if (known !== 0) {
      const budget = Math.min(this.limit - counter.icount, this.#slice), length = i32[(known - 4) >> 2];
      if (length <= budget) return this.#enter(known, budget, length);
    }
    const rip = s.code64 ? s.rip : s.rip >>> 0;
    i32[SLOT] = 0;
    if (this.debug !== null && this.debug.splits.has(this.code.linear(rip))) {
      return this.#enter(this.code.scratch(rip, 1), 1, 1);
    }
    const found = this.code.lookup(rip);
    const rec = found < 0 ? ~found : found;
    if (found >= 0) {
      rememberBlock(s, this.mmu, rip, rec);
      if (slot !== 0 && slot < L.CODE + L.CODE_SIZE) linkBranch(s, slot, rip, rec);
    }
    const budget = Math.min(this.limit - counter.icount, this.#slice);
    const length = s.i32[(rec - 4) >> 2];
    if (length > budget) return this.#enter(this.code.scratch(rip, budget), budget, budget);
    this.#enter(rec, budget, length);
  }

  /** Enters generated code with a budget of which the first block takes `length`. */
  #enter(rec: number, budget: number, length: number): void {
    const { f64 } = this.s;
    this.#horizon = f64[HORIZON] = this.counter.icount + budget;
    f64[SKIPPED] = this.counter.skippedNs;
    this.#running = 1;
    if (this.#instrument === null) this.#interp.run(rec, budget - length);
    else this.#instrument.run(rec, budget - length, this.#horizon);
    this.#running = 0;
    this.#left();
  }

  /** Deals with whatever generated code left for. */
  #left(): void {
    const { s, counter } = this, { i32 } = s;
    const rec = i32[REC_AT], bud = i32[BUD];
    switch (i32[LEAVE]) {
      case Leave.LOOKUP:
        counter.icount = this.#horizon - bud;
        return;
      case Leave.SYS:
        counter.icount = this.#horizon - bud - s.u8[rec + REC.REM];
        return this.#system(rec);
      case Leave.BUDGET:
      case Leave.STOP:
        counter.icount = this.#horizon - bud;
        s.rip = this.#ripOf(rec);
        return;
      case Leave.HOT:
        counter.icount = this.#horizon - bud - s.u8[rec + REC.REM];
        s.rip = this.#ripOf(rec);
        return this.#compile(rec);
      case Leave.ALONE:
        counter.icount = this.#horizon - bud - s.u8[rec + REC.REM];
        s.rip = this.#ripOf(rec);
        this.#instrument?.undo(counter.icount);
        return this.#step();
      case Leave.WATCH:
        counter.icount = this.#horizon - bud - s.u8[rec + REC.REM];
        s.rip = this.#ripOf(rec);
        return this.#watched();
      default:
        counter.icount = this.#horizon - bud - s.u8[rec + REC.REM];
        s.rip = this.#ripOf(rec);
        this.#fault(i32[L.FAULT_VECTOR >> 2], i32[L.FAULT_ERROR >> 2]);
    }
  }

  /** Executes the instruction that touches a watchpoint by itself: what it does is noted with its exact count. */
  #watched(): void {
    const { s } = this, watch = this.mmu.watching!;
    s.i32[SLOT] = 0;
    const before = this.counter.icount;
    this.currentRip = s.rip;
    watch.pass = true;
    try {
      this.#enter(this.code.scratch(s.code64 ? s.rip : s.rip >>> 0, 1), 1, 1);
    } finally {
      watch.pass = false;
    }
    this.#trapOnData(before);
  }

  /**
   * Takes the data and I/O breakpoints that the instruction just run has hit; one that faulted has hit none.
   * @param before instruction count before it
   */
  #takeHits(before: number): void {
    const { hits } = this.#guestBreakpoints;
    this.#guestBreakpoints.hits = 0;
    if (this.counter.icount > before) this.pendingDb |= hits;
  }

  /** Raises #DB behind an instruction that was not stepped, if it hit a breakpoint. */
  #trapOnData(before: number): void {
    if (this.#guestBreakpoints.hits === 0) return;
    this.#takeHits(before);
    if (this.s.i32[L.INT_SHADOW >> 2] === STACK_SHADOW) this.#hold();
    else if (this.pendingDb) this.#debugTrap();
  }

  /** MOV SS and POP SS hold breakpoints back until the next instruction has run, and drop a single-step trap. */
  #hold(): void {
    this.s.u32[L.HELD_BREAKPOINTS >> 2] |= this.pendingDb & 0xf;
    this.pendingDb = 0;
  }

  /** Compiles the region at a hot block, or gives it up. */
  #compile(rec: number): void {
    if (!this.jit!.budget.grants(rec, this.code.threshold, this.counter.icount)) {
      return this.code.recount(rec);
    }
    this.code.locate(this.s.rip);
    if (!this.jit!.compile(rec)) this.code.uncount(rec);
  }

  /** Physical page of the instruction whose slow path runs. */
  #executingPage(): number {
    const { s, mmu } = this, rip = this.#ripOf(s.i32[REC_AT]);
    const la = s.code64 ? rip : (s.segBase(Seg.CS) + rip) >>> 0;
    return mmu.tlb.exec[s.cpl === 3 ? 1 : 0].find(la | 0, Math.floor(la / 0x1_0000_0000) | 0);
  }

  #ripOf(rec: number): number {
    return this.s.i32[(rec + REC.RIP_HI) >> 2] * 0x1_0000_0000 + this.s.u32[(rec + REC.RIP_LO) >> 2];
  }

  /** Executes a system operation; RIP is at the next instruction meanwhile. */
  #system(rec: number): void {
    const { s, insn } = this;
    insn.at = rec;
    const rip = insn.rip, op = insn.op;
    this.currentRip = rip;
    s.rip = insn.nextRip;
    const fn = this.#ops[op];
    this.#running = 2;
    try {
      if (fn) fn(this, insn);
      else this.hooks.unimplemented(`instruction ${SYS_OPS[op]}`);
    } catch (e) {
      if (!(e instanceof GuestFault && e.keepRip)) s.rip = rip;
      throw e;
    } finally {
      this.#running = 0;
    }
    this.#instrument?.executed(rec, SYS_OPS[op]);
    this.#guestBreakpoints.executed(op, insn);
    this.counter.icount++;
    // SYSRET that sets TF traps at once; stepped, it does so anyway.
    if (op === OP_SYSRET && s.u32[L.FLAGS >> 2] & Fl.TF && s.i32[L.ALONE >> 2] === 0) {
      this.pendingDb |= 0x4000;
      this.#debugTrap();
    }
    if (this.#guestBreakpoints.hits !== 0 && s.i32[L.ALONE >> 2] === 0) {
      this.#trapOnData(this.counter.icount - 1);
    }
  }

  /** Executes exactly one instruction, with what must be looked at around it: shadows, breakpoints, single-stepping. */
  #step(): void {
    const { s, counter } = this, { i32, u32 } = s;
    const shadow = i32[L.INT_SHADOW >> 2], trap = u32[L.FLAGS >> 2] & Fl.TF, before = counter.icount;
    if (this.#instructionBreakpoint()) return;
    this.pendingDb |= u32[L.HELD_BREAKPOINTS >> 2];
    u32[L.HELD_BREAKPOINTS >> 2] = 0;
    i32[L.INT_SHADOW >> 2] = 0;
    i32[SLOT] = 0;
    const rip = s.code64 ? s.rip : s.rip >>> 0;
    this.currentRip = rip;
    i32[L.ALONE >> 2] = 1;
    this.insn.at = 0;
    try {
      const rec = this.code.scratch(rip, 1);

      this.#enter(rec, 1, 1);
    } finally {
      i32[L.ALONE >> 2] = 0;
    }
    this.#takeHits(before);
    if (counter.icount === before) return;
    if (this.insn.at === 0 || this.insn.op !== OP_IRET) u32[L.FLAGS >> 2] &= ~Fl.RF; // IRET loads it
    if (shadow && i32[L.INT_SHADOW >> 2]) i32[L.INT_SHADOW >> 2] = 0;
    if (trapsBehind(s, this.insn, trap !== 0)) this.pendingDb |= 0x4000;
    if (i32[L.INT_SHADOW >> 2] === STACK_SHADOW) {
      return this.#hold();
    }
    if (this.insn.at !== 0 && this.insn.op === OP_ICEBP) {
      this.#setDr6(this.pendingDb & 0xf); // its own #DB tells what MOV SS held back
      this.pendingDb = 0;
    } else if (this.pendingDb) this.#debugTrap();
  }

  /** Raises #DB as a fault when an enabled instruction breakpoint matches RIP and RF is clear (SDM volume 3, 17.2.4). */
  #instructionBreakpoint(): boolean {
    const { s } = this, dr7 = s.u32[(L.DR + 56) >> 2];
    if ((dr7 & 0xff) === 0 || s.u32[L.FLAGS >> 2] & Fl.RF) return false;
    const hit = breakpointsAt(s, this.code.linear(s.code64 ? s.rip : s.rip >>> 0));
    if (hit === 0) return false;
    this.#setDr6(hit);
    this.#fault(Vec.DB, -1);
    return true;
  }

  #setDr6(bits: number): void {
    const at = (L.DR + 48) >> 2;
    this.s.u32[at] = this.s.u32[at] & ~0xf | bits;
  }

  #debugTrap(): void {
    const bits = this.pendingDb;
    this.pendingDb = 0;
    this.halted = false; // a trap behind HLT ends it
    this.#setDr6(bits);
    this.#deliver(Vec.DB, -1, "trap");
  }

  /** Enters a handler; instrumented code is told where from. */
  #deliver(vector: number, error: number, kind: EventKind): void {
    const from = this.s.rip;
    if (this.debug !== null) this.debug.enteredIcount = this.counter.icount;
    this.currentRip = from;
    this.#running = 2;
    this.delivering = true;
    try {
      if (deliver(this, vector, error, kind) === "shutdown") this.#shutdown = true;
    } finally {
      this.delivering = false;
      this.#running = 0;
      this.#guestBreakpoints.hits = 0; // of its own accesses nothing is told
    }
    this.#instrument?.delivered(vector, kind, from);
  }

  /** Delivers a fault of the current instruction. */
  #fault(vector: number, error: number): void {
    this.s.i32[SLOT] = 0;
    this.#deliver(vector, error, "fault");
  }

  #caught(e: unknown): void {
    if (!(e instanceof GuestFault)) throw e;
    try {
      this.#fault(e.vector, e.error);
    } catch (second) {
      if (!(second instanceof GuestFault)) throw second;
      this.#shutdown = true;
    }
  }

  /**
   * Delivers pending NMIs and external interrupts as far as the processor takes them. What cannot be taken is looked at
   * once, here and now: how often the dispatcher comes by depends on the engine.
   */
  #interrupts(): void {
    const { s } = this;
    for (;;) {
      const shadow = s.i32[L.INT_SHADOW >> 2] !== 0;
      if (this.nmiPending && !this.nmiBlocked && !shadow) {
        this.nmiPending = false;
        this.nmiBlocked = true;
        this.#external(Vec.NMI);
      } else if (!this.interruptCheck) return;
      else if (shadow || !(s.u32[L.FLAGS >> 2] & Fl.IF)) {
        if (!this.interruptNoted) this.hooks.interruptBlocked();
        this.interruptNoted = true;
        return;
      } else {
        const vector = this.hooks.interruptAck();
        this.interruptNoted = false;
        if (vector < 0) this.interruptCheck = false;
        else this.#external(vector);
      }
      if (this.#shutdown) return;
    }
  }

  #external(vector: number): void {
    this.halted = false;
    this.s.i32[SLOT] = 0;
    this.#deliver(vector, -1, "external");
  }

  /** Segment checks for what the fast path does not cover. */
  #segmentCheck(seg: number, offset: number, sizeFlags: number): number {
    return segmentAllows(this.s, seg / L.SEG_SIZE, offset, sizeFlags & 0xff, (sizeFlags & SF_WRITE) !== 0)
      ? 1
      : 0;
  }
}
