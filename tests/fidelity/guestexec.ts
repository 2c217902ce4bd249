/**
 * Runs host test cases on our processor, in the surroundings that hostexec.c and Linux give them: user mode under
 * 4-level paging, flat segments with Linux's selectors, and an IDT whose handlers halt, so that delivery itself (stack
 * switch, pushed frame, error code, CR2) is part of what is compared.
 *
 * @module
 */
import { Cpu, Stopped } from "../../core/cpu/cpu.ts";
import { parseCpuidSpec } from "../../core/cpu/cpuid.ts";
import { Attr, Cr0, Cr4, Efer, Seg } from "../../core/cpu/state.ts";
import * as L from "../../core/layout.ts";
import { PhysMem } from "../../core/mmu/physmem.ts";
import { FX } from "./fpstate.ts";
import type { Engine } from "./hostdiff.ts";
import { noWorld, Unimplemented } from "./no_world.ts";
import {
  CODE,
  CODE_SIZE,
  CS32,
  CS64,
  DATA_SELECTOR,
  DID_NOT_END,
  firstRip,
  GS_BASE,
  type Mode,
  READONLY_SIZE,
  SMALL,
  type TestCase,
  type TestResult,
  WINDOW,
  WINDOW_SIZE,
  windowContents,
} from "./protocol.ts";

/** Supervisor area: linear base (the top 512 GiB), and what lies in it, one page each. */
const KERNEL = -0x80_0000_0000;
const GDT = KERNEL,
  IDT = KERNEL + 0x1000,
  STUBS = KERNEL + 0x2000,
  TSS = KERNEL + 0x3000,
  STACK_TOP = KERNEL + 0x5000;
/** Guest-physical pages. */
const CODE_TABLE = 0x4000; // the third of TABLES
const PML4 = 0x1000, TABLES = 0x2000, KERNEL_PAGES = 0x10000, WINDOW_PAGES = 0x21000, CODE_PAGES = 0x24000;
/** Code lies in another page for each case: a page whose code keeps changing would not be compiled any more. */
const CODE_PAGE_COUNT = 2048;
const MEMORY = CODE_PAGES + CODE_PAGE_COUNT * 0x1000;
/** The window's pages lie the wrong way round: an access across two of them is none to consecutive bytes. */
const windowPage = (n: number): number => WINDOW_PAGES + (2 - n) * 0x1000;
const KERNEL_CS = 0x10, KERNEL_SS = 0x18, TSS_SELECTOR = 0x40;
/** Vectors that push an error code. */
const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17]);
/** Instructions after which a case counts as endless, unless it is said otherwise. */
const LIMIT = 20_000;
/** CPUID policy of the processor under test: everything the groups cover. */
const POLICY = "default,+movbe";

/** Our processor in Linux user mode's clothes. */
export class GuestExec implements Engine {
  readonly #mem = new PhysMem(MEMORY + 0x1000);
  /** Most instructions between two returns of the processor. */
  slice = Infinity;
  /** Instructions after which a case counts as endless. */
  limit = LIMIT;
  /** Instructions that the last case retired, its handler's HLT included. */
  instructions = 0;
  readonly #counter = { icount: 0, skippedNs: 0 };
  readonly #cpu: Cpu;
  #cases = 0;
  #last: TestCase | null = null;

  /**
   * @param policy text of the CPUID policy
   * @param jitThreshold how often a block runs before it is compiled; 0: never
   */
  constructor(policy = POLICY, jitThreshold = 0) {
    this.#mem.map(0, MEMORY);
    this.#cpu = new Cpu(this.#mem, noWorld, parseCpuidSpec(policy), this.#counter, jitThreshold);
    this.#pageTables();
    this.#descriptors();
  }

  #put64(gpa: number, lo: number, hi: number): void {
    this.#mem.write32(gpa, lo);
    this.#mem.write32(gpa + 4, hi);
  }

  /** Maps 4 KiB pages; bits: 1 present, 2 writable, 4 user. */
  #mapPages(
    tables: number,
    pml4: number,
    pdpt: number,
    pd: number,
    pt: number,
    pages: [number, number, boolean][],
  ): void {
    this.#put64(PML4 + pml4 * 8, tables | 7, 0);
    this.#put64(tables + pdpt * 8, tables + 0x1000 | 7, 0);
    this.#put64(tables + 0x1000 + pd * 8, tables + 0x2000 | 7, 0);
    pages.forEach(([gpa, bits, nx], i) =>
      this.#put64(tables + 0x2000 + (pt + i) * 8, gpa | bits, nx ? 0x8000_0000 : 0)
    );
  }

  /** Regions compiled so far. */
  get regions(): number {
    return this.#cpu.jit?.regions ?? 0;
  }

  #pageTables(): void {
    // Code at 256 MiB, window at 512 MiB: one PDPT, two PDs' worth of entries in the first gigabyte.
    this.#mapPages(TABLES, 0, 0, CODE >>> 21, 0, [[CODE_PAGES, 5, false]]);
    const windowTable = TABLES + 0x3000;
    this.#put64(TABLES + 0x1000 + (WINDOW >>> 21) * 8, windowTable | 7, 0);
    for (let i = 0; i < 3; i++) {
      this.#put64(windowTable + i * 8, windowPage(i) | (i < 2 ? 7 : 5), 0x8000_0000);
    }
    const kernel: [number, number, boolean][] = [0, 1, 2, 3, 4].map((
      i,
    ) => [KERNEL_PAGES + i * 0x1000, 3, false]);
    this.#mapPages(TABLES + 0x4000, 511, 0, 0, 0, kernel);
  }

  #descriptors(): void {
    const at = (linear: number) => KERNEL_PAGES + (linear - KERNEL);
    this.#put64(at(GDT) + KERNEL_CS, 0x0000_ffff, 0x00af_9b00);
    this.#put64(at(GDT) + KERNEL_SS, 0x0000_ffff, 0x00cf_9300);
    this.#put64(at(GDT) + (CS32 & ~7), 0x0000_ffff, 0x00cf_fb00);
    this.#put64(at(GDT) + (DATA_SELECTOR & ~7), 0x0000_ffff, 0x00cf_f300);
    this.#put64(at(GDT) + (CS64 & ~7), 0x0000_ffff, 0x00af_fb00);
    const hi = Math.floor(STUBS / 0x1_0000_0000);
    for (let v = 0; v < 256; v++) {
      const stub = (STUBS >>> 0) + v * 16, dpl = v === 3 || v === 4 ? 3 : 0;
      const gate = at(IDT) + v * 16;
      this.#put64(gate, KERNEL_CS << 16 | stub & 0xffff, stub & 0xffff_0000 | 0x8e00 | dpl << 13);
      this.#put64(gate + 8, hi, 0);
      this.#mem.write8(at(STUBS) + v * 16, 0xf4);
    }
    this.#mem.write16(at(TSS) + 0x66, 0xffff); // no I/O permission bitmap
    this.#put64(at(TSS) + 4, STACK_TOP, Math.floor(STACK_TOP / 0x1_0000_0000));
  }

  /** Everything but general registers, flags and memory. */
  #environment(mode: Mode): void {
    const { s } = this.#cpu, { u32 } = s;
    u32[L.CR0 >> 2] = Cr0.PE | Cr0.MP | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.PG;
    u32[L.CR4 >> 2] = Cr4.PAE | Cr4.PSE | Cr4.PGE | Cr4.OSFXSR | Cr4.OSXMMEXCPT;
    u32[L.EFER >> 2] = Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE;
    s.setNum(L.CR3, PML4);
    s.setNum(L.GDTR, GDT);
    u32[(L.GDTR + 8) >> 2] = 0xfff;
    s.setNum(L.IDTR, IDT);
    u32[(L.IDTR + 8) >> 2] = 0xfff;
    u32[(L.DR + 48) >> 2] = 0xffff_0ff0;
    u32[(L.DR + 56) >> 2] = 0x400;
    const user = Attr.P | Attr.S | 3 << Attr.DPL_SHIFT | Attr.G, limit = 0xffff_ffff;
    const code = user | Attr.CODE | Attr.READABLE | Attr.ACCESSED,
      data = user | Attr.WRITABLE | Attr.ACCESSED | Attr.DB;
    if (mode === 16) this.#smallSegments();
    else {
      if (mode === 64) s.setSeg(Seg.CS, CS64, 0, limit, code | Attr.L);
      else s.setSeg(Seg.CS, CS32, 0, limit, code | Attr.DB);
      for (const seg of [Seg.DS, Seg.ES, Seg.SS]) s.setSeg(seg, DATA_SELECTOR, 0, limit, data);
    }
    s.setSeg(Seg.FS, 0, 0, 0, Attr.UNUSABLE);
    s.setSeg(Seg.GS, 0, GS_BASE, 0, Attr.UNUSABLE);
    s.setSeg(Seg.LDTR, 0, 0, 0, Attr.UNUSABLE);
    s.setSeg(Seg.TR, TSS_SELECTOR, TSS, 0x67, Attr.P | 11);
    s.i32[L.CPL >> 2] = 3;
    s.i32[L.INT_SHADOW >> 2] = 0;
    s.i32[L.LINK_SLOT >> 2] = 0;
    const cpu = this.#cpu;
    cpu.halted = false;
    cpu.pendingDb = 0;
    cpu.updateMode();
  }

  #smallSegments(): void {
    const { s } = this.#cpu, user = Attr.P | Attr.S | 3 << Attr.DPL_SHIFT | Attr.ACCESSED;
    const data = user | Attr.WRITABLE;
    s.setSeg(Seg.CS, SMALL.CS, CODE, 0xffff, user | Attr.CODE | Attr.READABLE);
    s.setSeg(Seg.DS, SMALL.DS, WINDOW, SMALL.DS_LIMIT, data);
    s.setSeg(Seg.SS, SMALL.SS, WINDOW, SMALL.SS_LIMIT, data);
    s.setSeg(Seg.ES, SMALL.ES, WINDOW, SMALL.ES_LIMIT, data | Attr.EXPAND_DOWN);
  }

  #load(test: TestCase): Uint8Array {
    const { s } = this.#cpu, page = new Uint8Array(CODE_SIZE).fill(0xcc);
    page.set(test.code, test.codeOffset);
    const at = CODE_PAGES + (this.#cases++ % CODE_PAGE_COUNT) * 0x1000;
    this.#put64(CODE_TABLE, at | 5, 0);
    this.#cpu.mmu.invlpg(CODE);
    this.#mem.write(at, page);
    const contents = windowContents(test);
    for (let i = 0; i < 3; i++) this.#mem.write(windowPage(i), contents.subarray(i * 4096, (i + 1) * 4096));
    for (let i = 0; i < 16; i++) {
      s.setReg(i, Number(test.gpr[i] & 0xffff_ffffn), Number(test.gpr[i] >> 32n));
    }
    s.flags = test.rflags | 0x202;
    this.#environment(test.mode);
    s.rip = firstRip(test);
    this.#loadFx(test.fx);
    return contents;
  }

  #loadFx(fx: Uint8Array): void {
    const { s } = this.#cpu, v = new DataView(fx.buffer, fx.byteOffset);
    s.u8.set(fx.subarray(FX.XMM, FX.XMM + 256), L.XMM);
    s.u32[L.MXCSR >> 2] = v.getUint32(FX.MXCSR, true);
    const fsw = v.getUint16(FX.FSW, true), top = fsw >> 11 & 7;
    s.u32[L.FCW >> 2] = v.getUint16(FX.FCW, true) | 0x40;
    s.u32[L.FSW >> 2] = fsw;
    s.u32[L.FOP >> 2] = v.getUint16(FX.FOP, true);
    s.setWords(L.FIP, v.getUint32(FX.FIP, true), v.getUint32(FX.FIP + 4, true));
    s.setWords(L.FDP, v.getUint32(FX.FDP, true), v.getUint32(FX.FDP + 4, true));
    s.u32[L.FCS >> 2] = s.u32[L.FDS >> 2] = 0;
    let tags = 0;
    for (let i = 0; i < 8; i++) {
      const physical = top + i & 7, at = FX.ST + i * 16;
      s.u8.set(fx.subarray(at, at + 16), L.FPR + physical * 16);
      tags |= (fx[FX.FTW] >> physical & 1 ? fullTag(v, at) : 3) << (physical * 2);
    }
    s.u32[L.FTW >> 2] = tags;
  }

  #storeFx(): Uint8Array {
    const { s } = this.#cpu, fx = new Uint8Array(512), v = new DataView(fx.buffer);
    const fsw = s.u32[L.FSW >> 2], top = fsw >> 11 & 7;
    v.setUint16(FX.FCW, s.u32[L.FCW >> 2], true);
    v.setUint16(FX.FSW, fsw, true);
    for (let i = 0; i < 8; i++) {
      if ((s.u32[L.FTW >> 2] >> (i * 2) & 3) !== 3) fx[FX.FTW] |= 1 << i;
      const from = L.FPR + (top + i & 7) * 16;
      fx.set(s.u8.subarray(from, from + 10), FX.ST + i * 16);
    }
    v.setUint32(FX.MXCSR, s.u32[L.MXCSR >> 2], true);
    fx.set(s.u8.subarray(L.XMM, L.XMM + 256), FX.XMM);
    return fx;
  }

  /** A handler field of the first record of the last case's code. */
  firstHandler(field: number): number {
    const { code, s } = this.#cpu;
    this.#environment(this.#last!.mode);
    return s.view.getUint16(code.lookup(firstRip(this.#last!)) + field, true);
  }

  /** @see Engine.run */
  run(test: TestCase): TestResult {
    const before = new Uint32Array(this.#load(test).buffer);
    this.#last = test;
    const cpu = this.#cpu, { s } = cpu;
    let stopped: number = Stopped.LIMIT, missing = "";
    const start = this.#counter.icount, end = start + this.limit;
    try {
      while (stopped === Stopped.LIMIT && this.#counter.icount < end) {
        stopped = cpu.run(Math.min(end, this.#counter.icount + this.slice));
      }
    } catch (error) {
      if (!(error instanceof Unimplemented)) throw error;
      missing = error.message;
    }
    this.instructions = this.#counter.icount - start;
    const gpr = new BigUint64Array(16);
    for (let i = 0; i < 16; i++) gpr[i] = BigInt(s.hi(i)) << 32n | BigInt(s.lo(i));
    const result: TestResult = {
      vector: DID_NOT_END,
      errorCode: 0,
      faultAddress: this.#word64(L.CR2),
      rip: this.#word64(L.RIP),
      rflags: s.flags,
      cs: s.segSel(Seg.CS),
      gpr,
      fx: this.#storeFx(),
      changes: new Map(),
    };
    if (stopped === Stopped.HALTED && s.cpl === 0) this.#frame(result);
    else if (stopped === Stopped.SHUTDOWN) result.vector = 0xfe;
    else if (missing === "instruction int3") {
      result.vector = 3;
      result.rip++;
    } else if (missing) result.missing = missing;
    const window = new Uint8Array(WINDOW_SIZE + READONLY_SIZE), now = new Uint32Array(window.buffer);
    for (let i = 0; i < 3; i++) window.set(this.#mem.read(windowPage(i), 4096), i * 4096);
    for (let i = 0; i < now.length; i += 2) {
      if (now[i] === before[i] && now[i + 1] === before[i + 1]) continue;
      result.changes.set(i * 4, BigInt(now[i + 1]) << 32n | BigInt(now[i]));
    }
    return result;
  }

  #word64(offset: number): bigint {
    const { u32 } = this.#cpu.s;
    return BigInt(u32[(offset >> 2) + 1]) << 32n | BigInt(u32[offset >> 2]);
  }

  /** Takes the interrupted state from the frame that delivery pushed. */
  #frame(r: TestResult): void {
    const { s } = this.#cpu;
    r.vector = (s.rip - STUBS - 1) / 16;
    const words = WITH_ERROR.has(r.vector) ? 6 : 5;
    const frame = new BigUint64Array(
      this.#mem.read(KERNEL_PAGES + (STACK_TOP - KERNEL) - words * 8, words * 8).buffer,
    );
    const expectedRsp = BigInt.asUintN(64, BigInt(STACK_TOP - words * 8));
    if (r.gpr[4] !== expectedRsp) {
      r.missing = `a clean entry: the handler of vector ${r.vector} was itself interrupted`;
    }

    const [rip, cs, rflags, rsp] = frame.subarray(words - 5);
    if (words === 6) r.errorCode = Number(frame[0]);
    r.rip = rip;
    r.cs = Number(cs);
    r.rflags = Number(rflags);
    r.gpr[4] = rsp;
  }
}

/** The two-bit tag of an 80-bit value: 0 valid, 1 zero, 2 special (Intel SDM volume 1, section 8.1.7). */
function fullTag(v: DataView, at: number): number {
  const exponent = v.getUint16(at + 8, true) & 0x7fff,
    hi = v.getUint32(at + 4, true),
    lo = v.getUint32(at, true);
  if (exponent === 0x7fff) return 2;
  if (exponent === 0) return (hi | lo) === 0 ? 1 : 2;
  return hi >>> 31 ? 0 : 2;
}
