/**
 * An instrumented interpreter that tells a sink of accesses, instructions and branches, in order and with their exact
 * instruction counts; what TypeScript does (system operations, events, page walks, the hypervisor) is told with it.
 *
 * @module
 */
import type { AccessObserver } from "../../mmu/access.ts";
import { Accessor } from "../../mmu/access.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "../../mmu/physmem.ts";
import * as L from "../../layout.ts";
import type { Cpu } from "../cpu.ts";
import type { Interpreter } from "../interp.ts";
import { OPF_MASK, REC } from "../insn.ts";
import { Attr, Gpr, Seg } from "../state.ts";
import type { EventKind } from "../system/exceptions.ts";
import { SYS_OPS } from "../system/ops.ts";
import { tellingVariant, type Told } from "./emit.ts";
import type { Instrument } from "./instrument.ts";
import * as R from "./ring.ts";

/** Low word, high word. */
export interface Pair {
  lo: number;
  hi: number;
}

/** A transfer of control. Names of `kind`: forms (`jcc`, `call`, ...), system operations, `interrupt`, `exception`. */
export interface Transfer {
  icount: number;
  kind: string;
  rip: Pair;
  target: Pair;
  /** RIP of the instruction behind; equal to the target of a conditional branch that is not taken. */
  next: Pair;
  /** RDI, RSI, RDX, RSP after the instruction. */
  registers: readonly [Pair, Pair, Pair, Pair];
  /** -1: none. */
  vector: number;
}

/** Takes what is told. Objects handed over are reused. */
export interface EventSink {
  /**
   * An access inside one page; `value` is null for a write whose bytes are in place only when the next thing is told.
   * @param la linear address; null where there is none  @param size bytes  @param value of the first 8 bytes
   */
  access(
    write: boolean,
    source: number,
    icount: number,
    rip: Pair,
    la: Pair | null,
    gpa: number,
    size: number,
    value: Pair | null,
  ): void;
  /** An instruction begins. It has retired when the next one that is told has a larger count. */
  instruction(icount: number, rip: Pair, code: number, repeated: boolean): void;
  transfer(t: Transfer): void;
  /** A position that `undo` may go back to. */
  mark(): void;
  /** Forgets what was told since the mark of an instruction count or a later one. */
  undo(icount: number): void;
}

/** Where accesses are told from: linear or guest-physical addresses in `[from, from + bytes)`. */
export interface Range {
  physical: boolean;
  from: number;
  bytes: number;
}

const TWO32 = 0x1_0000_0000;
/** An access that begins this much in front of a range may reach into it. */
const REACH = 15;

/** See above. */
export class EventInstrument implements Instrument, AccessObserver {
  readonly slice = R.SLICE;
  readonly codeEnd = R.RING;
  readonly #interp: Interpreter;
  /** Guest page by host page, and the number of remappings it is from. */
  readonly #guestPage = new Map<number, number>();
  #mapped = -1;
  readonly #a: Pair = { lo: 0, hi: 0 };
  readonly #b: Pair = { lo: 0, hi: 0 };
  readonly #c: Pair = { lo: 0, hi: 0 };
  readonly #transfer = {
    icount: 0,
    kind: "",
    rip: { lo: 0, hi: 0 },
    target: { lo: 0, hi: 0 },
    next: { lo: 0, hi: 0 },
    registers: [{ lo: 0, hi: 0 }, { lo: 0, hi: 0 }, { lo: 0, hi: 0 }, { lo: 0, hi: 0 }],
    vector: -1,
  } satisfies Transfer;
  /** Instructions seen: mode (16, 32, 64), RIP and bytes (hexadecimal), with colons between. */
  readonly codes: string[] = [];
  readonly #codeIds = new Map<string, number>();
  /** Number in `codes` by record: at (rec - CODE) / 8. */
  readonly #codeOf: Uint32Array | null;

  constructor(
    readonly cpu: Cpu,
    readonly told: Told,
    readonly sink: EventSink,
    readonly range: Range | null,
  ) {
    this.#interp = cpu.createInterpreter(tellingVariant(told));
    this.#codeOf = told.instructions ? new Uint32Array(L.CODE_SIZE >> 3) : null;
  }

  /** Begins to look on. */
  attach(): void {
    this.#filter();
    this.cpu.s.i32[R.RING_AT >> 2] = R.RING;
    this.cpu.setInstrument(this);
    if (!this.told.reads && !this.told.writes) return;
    this.cpu.mmu.setObserver(this);
    if (this.told.writes) {
      this.cpu.mmu.mem.onTouch = (page, offset, length) => {
        this.#outside(Accessor.HYPERVISOR, page * PAGE_SIZE + offset, length);
      };
    }
  }

  /** Ends it. */
  detach(): void {
    this.cpu.setInstrument(null);
    this.cpu.mmu.setObserver(null);
    this.cpu.mmu.mem.onTouch = null;
  }

  /** Tells generated code what may be left out. */
  #filter(): void {
    const { s, mmu } = this.cpu, { range } = this;
    s.setWords(R.FILTER_FROM, 0, 0);
    s.setWords(R.FILTER_SPAN, -1, -1);
    s.i32[R.HOST_FROM >> 2] = 0;
    s.i32[R.HOST_SPAN >> 2] = -1;
    if (range === null) return;
    if (!range.physical) {
      s.setNum(R.FILTER_FROM, range.from - REACH);
      s.setNum(R.FILTER_SPAN, range.bytes - 1 + REACH);
      return;
    }
    const first = mmu.mem.host(range.from), last = mmu.mem.host(range.from + range.bytes - 1);
    if (first < 0 || last - first !== range.bytes - 1) return;
    s.i32[R.HOST_FROM >> 2] = first - REACH;
    s.i32[R.HOST_SPAN >> 2] = range.bytes - 1 + REACH;
  }

  run(rec: number, budget: number, horizon: number): void {
    const { s } = this.cpu;
    s.setNum(R.HORIZON, horizon);
    s.i32[R.RING_AT >> 2] = R.RING;
    this.sink.mark();
    this.#interp.run(rec, budget);
    this.#drain();
  }

  undo(icount: number): void {
    this.sink.undo(icount);
  }

  decoded(rec: number, from: Uint8Array, at: number, length: number): void {
    if (this.#codeOf === null) return;
    const { s } = this.cpu, lo = s.u32[(rec + REC.RIP_LO) >> 2], hi = s.u32[(rec + REC.RIP_HI) >> 2];
    const mode = s.code64 ? 64 : s.segAttr(Seg.CS) & Attr.DB ? 32 : 16;
    let key = `${mode}:${(BigInt(hi) << 32n | BigInt(lo)).toString(16)}:`;
    for (let i = 0; i < length; i++) key += (from[at + i] + 0x100).toString(16).slice(1);
    let id = this.#codeIds.get(key);
    if (id === undefined) {
      this.#codeIds.set(key, id = this.codes.length);
      this.codes.push(key);
    }
    this.#codeOf[(rec - L.CODE) >> 3] = id;
  }

  /** Takes the events out of the memory. */
  #drain(): void {
    const { i32 } = this.cpu.s, end = i32[R.RING_AT >> 2];
    for (let at = R.RING; at < end; at += R.EVENT_SIZE) {
      const head = i32[at >> 2], kind = head & 0xffff;
      if (kind <= R.EventType.WRITE) this.#access(at >> 2, kind === R.EventType.WRITE, head >>> 16);
      else if (kind === R.EventType.INSTRUCTION) this.#instruction(at >> 2);
      else this.#branch(at >> 2);
    }
    i32[R.RING_AT >> 2] = R.RING;
  }

  #pair(p: Pair, word: number): Pair {
    const { u32 } = this.cpu.s;
    p.lo = u32[word];
    p.hi = u32[word + 1];
    return p;
  }

  #icount(word: number): number {
    const { u32 } = this.cpu.s;
    return u32[word + (R.EV.ICOUNT >> 2) + 1] * TWO32 + u32[word + (R.EV.ICOUNT >> 2)];
  }

  /** An access of generated code. */
  #access(word: number, write: boolean, size: number): void {
    const { i32 } = this.cpu.s, host = i32[word + (R.EV.HOST >> 2)];
    const icount = this.#icount(word);
    const rip = this.#pair(this.#a, word + (R.EV.RIP >> 2)),
      la = this.#pair(this.#b, word + (R.EV.ADDRESS >> 2));
    const value = this.#pair(this.#c, word + (R.EV.VALUE >> 2));
    const slow = host - L.SLOW_DATA;
    if (slow < 0 || slow >= 64) {
      const gpa = this.#frame(host >>> PAGE_SHIFT) * PAGE_SIZE + (host & 0xfff);
      this.sink.access(write, Accessor.CPU, icount, rip, la, gpa, size, value);
      return;
    }
    const pageA = i32[word + (R.EV.PAGE_A >> 2)], pageB = i32[word + (R.EV.PAGE_B >> 2)];
    // The access began `slow` bytes before this piece of it.
    const begin = (la.lo - slow) & 0xfff, first = PAGE_SIZE - begin - slow;
    const inA = Math.max(0, Math.min(size, first));
    if (inA > 0 && pageA >= 0) {
      this.sink.access(write, Accessor.CPU, icount, rip, la, pageA * PAGE_SIZE + begin + slow, inA, value);
    }
    if (inA === size || pageB < 0) return;
    shift(value, inA);
    advance(la, inA);
    this.sink.access(
      write,
      Accessor.CPU,
      icount,
      rip,
      la,
      pageB * PAGE_SIZE + Math.max(0, -first),
      size - inA,
      value,
    );
  }

  #instruction(word: number): void {
    const { i32, u8 } = this.cpu.s, rec = i32[word + (R.EV.REC >> 2)];
    const form = this.#interp.forms[u8[rec + REC.FORM] | u8[rec + REC.FORM + 1] << 8];
    const name = form.name === "sys" ? SYS_OPS[i32[(rec + REC.OP) >> 2] & OPF_MASK] : form.name;
    const repeated = STRINGS.has(name);
    const rip = this.#pair(this.#a, word + (R.EV.RIP >> 2));
    if (u8[rec + REC.LEN] === 0) return;
    this.sink.instruction(this.#icount(word), rip, this.#codeOf![(rec - L.CODE) >> 3], repeated);
  }

  #branch(word: number): void {
    const { i32, u8 } = this.cpu.s, rec = i32[word + (R.EV.REC >> 2)], t = this.#transfer;
    const form = this.#interp.forms[u8[rec + REC.FORM] | u8[rec + REC.FORM + 1] << 8];
    t.icount = this.#icount(word);
    t.kind = form?.name ?? "jmp";
    this.#pair(t.rip, word + (R.EV.RIP >> 2));
    this.#pair(t.target, word + (R.EV.ADDRESS >> 2));
    t.next.lo = t.rip.lo;
    t.next.hi = t.rip.hi;
    advance(t.next, u8[rec + REC.LEN]);
    [R.EV.RDI, R.EV.RSI, R.EV.RDX, R.EV.RSP].forEach((at, n) => this.#pair(t.registers[n], word + (at >> 2)));
    t.vector = -1;
    this.sink.transfer(t);
  }

  executed(rec: number, op: string): void {
    if (!this.told.branches || !TRANSFERS.has(op)) return;
    const { s } = this.cpu, t = this.#transfer;
    t.rip.lo = s.u32[(rec + REC.RIP_LO) >> 2];
    t.rip.hi = s.u32[(rec + REC.RIP_HI) >> 2];
    t.next.lo = t.rip.lo;
    t.next.hi = t.rip.hi;
    advance(t.next, s.u8[rec + REC.LEN]);
    this.#pair(t.target, L.RIP >> 2);
    this.#tell(op, -1);
  }

  delivered(vector: number, kind: EventKind, from: number): void {
    if (!this.told.branches) return;
    const t = this.#transfer;
    split(t.rip, from);
    split(t.next, from);
    this.#pair(t.target, L.RIP >> 2);
    this.#tell(kind === "external" ? "interrupt" : "exception", vector);
  }

  #tell(kind: string, vector: number): void {
    const t = this.#transfer;
    t.icount = this.cpu.counter.icount;
    t.kind = kind;
    t.vector = vector;
    [Gpr.DI, Gpr.SI, Gpr.DX, Gpr.SP].forEach((r, n) => this.#pair(t.registers[n], (L.GPR >> 2) + r * 2));
    this.sink.transfer(t);
  }

  /** Guest page on a host page. */
  #frame(host: number): number {
    const { mem } = this.cpu.mmu;
    if (this.#mapped !== mem.remaps) {
      this.#mapped = mem.remaps;
      this.#guestPage.clear();
      mem.hostPage.forEach((h, gfn) => h !== 0 && this.#guestPage.set(h, gfn));
    }
    return this.#guestPage.get(host) ?? 0;
  }

  /** @see AccessObserver.access */
  access(write: boolean, la: number, gpa: number, size: number): void {
    if (!(write ? this.told.writes : this.told.reads)) return;
    this.#drain();
    const { cpu } = this, source = cpu.delivering ? Accessor.EVENT : Accessor.CPU;
    this.#now(write, source, split(this.#b, la), gpa, size);
  }

  /** @see AccessObserver.walked */
  walked(gpa: number, size: number): void {
    if (this.told.writes) this.#outside(Accessor.WALK, gpa, size);
  }

  #outside(source: number, gpa: number, size: number): void {
    this.#drain();
    this.#now(true, source, null, gpa, size);
  }

  #now(write: boolean, source: number, la: Pair | null, gpa: number, size: number): void {
    const { cpu } = this, rip = split(this.#a, cpu.hereRip);
    this.sink.access(write, source, cpu.hereIcount, rip, la, gpa, size, null);
  }
}

/** Instructions that REP repeats: each iteration counts. */
const STRINGS: ReadonlySet<string> = new Set(["movs", "stos", "lods", "scas", "cmps", "ins", "outs"]);
/** System operations that transfer control. */
const TRANSFERS: ReadonlySet<string> = new Set(SYS_OPS.slice(0, SYS_OPS.indexOf("sysexit") + 1));

/** A number as two words. */
export function split(p: Pair, n: number): Pair {
  p.lo = n >>> 0;
  p.hi = Math.floor(n / TWO32) >>> 0;
  return p;
}

/** Adds a small number. */
function advance(p: Pair, by: number): void {
  const sum = p.lo + by;
  p.lo = sum >>> 0;
  if (sum >= TWO32) p.hi = (p.hi + 1) >>> 0;
}

/** Drops the lowest bytes. */
function shift(p: Pair, bytes: number): void {
  if (bytes === 0) return;
  const bits = bytes * 8;
  if (bits >= 32) {
    p.lo = p.hi >>> (bits - 32);
    p.hi = 0;
  } else {
    p.lo = (p.lo >>> bits | p.hi << (32 - bits)) >>> 0;
    p.hi >>>= bits;
  }
}
