/**
 * System instructions that generated code executes itself: in every state they must leave what the system operation in
 * TypeScript leaves. The same case runs twice: with nothing cached and everything intercepted, so that it is left to the
 * system operation, and with translations in place and nothing intercepted.
 */
import { assert, assertEquals } from "@std/assert";
import { Direct } from "../core/cpu/core.ts";
import { Cpu } from "../core/cpu/cpu.ts";
import { parseCpuidSpec } from "../core/cpu/cpuid.ts";
import type { CpuHooks } from "../core/cpu/hooks.ts";
import { Gpr } from "../core/cpu/state.ts";
import { SYSTEM_OPERATIONS } from "../core/cpu/system/mod.ts";
import type { SysOpName } from "../core/cpu/system/ops.ts";
import * as L from "../core/layout.ts";
import { PhysMem } from "../core/mmu/physmem.ts";
import { Random } from "./fidelity/random.ts";
import { At, longMachine, protectedMachine, RAM_BYTES, Sel, setGate } from "./system_fixture.ts";

const SEED = 20_261_127, CASES = 400;
const STACK = At.STACK0 - 0x400, TARGET = At.CODE + 0x800, OPERAND = 0xd000, DIVISOR = Gpr.SI;
const PAGES = [STACK, OPERAND, At.STACK3];
const NS = 0.5, TSC = 2.5, SKIPPED = 12_345;

/** A processor in long mode that takes both ways. */
class Pair {
  readonly counter = { icount: 0, skippedNs: SKIPPED };
  readonly mem = new PhysMem(RAM_BYTES + 0x10000);
  readonly cpu: Cpu;
  readonly #state: Uint8Array;
  readonly #memory: Uint8Array;

  /** How often the system operation was called. */
  calls = 0;

  constructor(threshold: number, code: number[], op: SysOpName, bits: 32 | 64 = 64, cpl = 0) {
    const made = bits === 64 ? longMachine(cpl) : protectedMachine(cpl);
    const handlerCode = bits === 64 ? Sel.CODE64 : Sel.CODE0;
    for (let v = 0; v < 32; v++) setGate(made, v, handlerCode, At.HANDLER, 0x8e);
    setGate(made, 0x30, handlerCode, At.HANDLER, 0xee);
    setGate(made, 0x31, handlerCode, At.HANDLER, 0xef);
    setGate(made, 0x32, handlerCode, At.HANDLER, 0x8f);
    made.mem.write(At.CODE, Uint8Array.from([...code, 0x90, 0x90, 0x90, 0xf4]));
    made.mem.write(TARGET, Uint8Array.of(0x90, 0x90, 0x90, 0xf4));
    made.mem.write(At.HANDLER, Uint8Array.of(0x90, 0x90, 0x90, 0xf4));
    this.#state = made.s.u8.slice(0, L.STATE_SIZE);
    this.#memory = made.mem.read(0, RAM_BYTES);
    const refuse = (): never => {
      throw new Error("hook not expected here");
    };
    const hooks: CpuHooks = {
      portIn: refuse,
      portOut: refuse,
      mmioRead: refuse,
      mmioWrite: refuse,
      cpuid: refuse,
      msrRead: refuse,
      msrWrite: refuse,
      vmmcall: refuse,
      hlt: () => {},
      tsc: () => Math.floor((this.counter.icount * NS + this.counter.skippedNs) * TSC),
      interruptBlocked: () => {},
      interruptAck: () => -1,
      readTpr: refuse,
      writeTpr: refuse,
      unimplemented: refuse,
      intercept: () => {},
      exception: () => {},
    };
    this.mem.map(0, RAM_BYTES);
    const own = SYSTEM_OPERATIONS[op]!;
    SYSTEM_OPERATIONS[op] = (c, i) => {
      this.calls++;
      own(c, i);
    };
    this.cpu = new Cpu(this.mem, hooks, parseCpuidSpec("default"), this.counter, threshold);
    SYSTEM_OPERATIONS[op] = own;
    this.mem.write(0, this.#memory);
    this.cpu.s.f64[L.CLOCK_NS >> 3] = NS;
    this.cpu.s.f64[L.CLOCK_TSC >> 3] = TSC;
  }

  /** Runs a case to its HLT; `direct`: nothing is intercepted. @returns what it left */
  run(prepare: (cpu: Cpu) => void, direct: boolean): unknown {
    const { cpu, mem } = this, { s } = cpu;
    s.u8.set(this.#state, 0);
    for (const page of PAGES) {
      const at = page & ~0xfff;
      mem.write(at, this.#memory.subarray(at, at + 0x1000));
    }
    s.i32[L.DIRECT >> 2] = direct
      ? Direct.RDTSC | Direct.PAUSE | Direct.IRET | Direct.SWINT | Direct.SYSRET
      : 0;
    cpu.nmiBlocked = !direct;
    cpu.halted = false;
    cpu.pendingDb = 0;
    prepare(cpu);
    cpu.updateMode();
    this.counter.icount = 1000;
    const why = cpu.run(1100);
    cpu.updateMode(); // TLB_BASE and JC_BASE are compared as generated code left them
    return {
      why,
      icount: this.counter.icount,
      rip: s.rip.toString(16),
      registers: Array.from({ length: 16 }, (_, r) => [s.lo(r), s.hi(r)]),
      flags: [s.u32[L.FLAGS >> 2], s.u32[L.LF_RES >> 2], s.u32[L.LF_AUX >> 2]],
      cpl: s.cpl,
      segments: Array.from(s.u32.slice(L.SEG >> 2, L.CR0 >> 2)),
      gsBase: s.num(L.MSR_KERNEL_GS_BASE),
      cr2: s.num(L.CR2),
      memory: PAGES.map((at) => mem.read(at & ~0xfff, 0x1000)),
      shadow: s.i32[L.INT_SHADOW >> 2],
    };
  }

  /** Calls in the second runs of cases. */
  directCalls = 0;

  /** Asserts that both ways agree. */
  compare(prepare: (cpu: Cpu) => void, what: string): void {
    this.cpu.mmu.flushAll();
    const expected = this.run(prepare, false);
    const before = this.calls;
    assertEquals(this.run(prepare, true), expected, what);
    this.directCalls += this.calls - before;
  }
}

/** Bits that make flags images interesting: arithmetic ones, IF, DF, seldom the rest. */
function image(r: Random): number {
  const seldom = r.below(8) === 0 ? r.u32() & 0x3f_7700 : 0;
  return (r.u32() & 0x8d5 | r.u32() & 0x600 | seldom | 2) >>> 0;
}

/** Random registers and flags. */
function disorder(r: Random, bits: 32 | 64): (cpu: Cpu) => void {
  const words = Array.from({ length: 32 }, () => r.u32()), flags = image(r) & ~0x2_0100; // no TF, no VM
  return ({ s }) => {
    for (let n = 0; n < 16; n++) {
      if (n !== Gpr.SP) s.setReg(n, words[n * 2], bits === 64 ? words[n * 2 + 1] : 0);
    }
    s.flags = flags;
  };
}

/** A frame for IRETQ: mostly one that returns. */
function returnFrame(r: Random): (cpu: Cpu) => void {
  const user = r.below(2) === 1, odd = r.below(6) === 0;
  const cs = odd
    ? r.pick([0, Sel.CODE0, Sel.CODE3, Sel.CONFORMING, Sel.CODE1 | 1, Sel.SPARE, 0x1000, Sel.DATA0])
    : user
    ? Sel.CODE64_3
    : Sel.CODE64;
  const ss = r.below(6) === 0
    ? r.pick([0, 3, Sel.DATA3, Sel.CODE64, Sel.SPARE, 0x2000])
    : user
    ? Sel.DATA3
    : r.pick([0, Sel.DATA0]);
  const accessed = r.below(8) === 0, spare = r.below(2) === 1, flags = image(r);
  const hi = r.below(10) === 0 ? 0x8000 : 0, sp = r.below(4) === 0 ? At.STACK0 : At.STACK3;
  return ({ s }) => {
    const frame = [TARGET, hi, cs, 0, flags, 0, sp, 0, ss, 0];
    frame.forEach((w, i) => s.mem.write32(STACK + i * 4, w));
    // As kernels have them: null data segments; sometimes one that a return to level 3 drops.
    for (const seg of [0, 3, 4, 5]) if (!spare || seg !== 3) s.setSeg(seg, 0, seg * 0x1000, 0, 0x10000);
    for (const sel of [Sel.CODE64, Sel.CODE64_3, Sel.DATA0, Sel.DATA3]) {
      const at = At.GDT + (sel & ~7) + 5;
      s.mem.write8(at, accessed ? s.mem.read8(at) & ~1 : s.mem.read8(at) | 1);
    }
  };
}

/** Marks the descriptors in use as accessed, mostly. */
function accessed(r: Random): (cpu: Cpu) => void {
  const missing = r.below(8) === 0 ? r.below(6) : -1;
  return ({ s }) => {
    [Sel.CODE64, Sel.CODE64_3, Sel.DATA0, Sel.DATA3, Sel.CODE0, Sel.CODE3].forEach((sel, n) => {
      const at = At.GDT + (sel & ~7) + 5;
      s.mem.write8(at, n === missing ? s.mem.read8(at) & ~1 : s.mem.read8(at) | 1);
    });
  };
}

/** A frame for IRETD. */
function returnFrame32(r: Random): (cpu: Cpu) => void {
  const user = r.below(2) === 1, mark = accessed(r), flags = image(r), odd = r.below(6) === 0;
  const cs = odd
    ? r.pick([0, Sel.CODE3, Sel.CONFORMING, Sel.CODE1 | 1, Sel.CODE16, Sel.SPARE, Sel.DATA0])
    : user
    ? Sel.CODE3
    : Sel.CODE0;
  const ss = r.below(6) === 0 ? r.pick([0, Sel.DATA0, Sel.DATA16, Sel.CODE3]) : Sel.DATA3;
  const data = r.below(4) === 0 ? Sel.DATA0 : 0;
  return (cpu) => {
    mark(cpu);
    const { s } = cpu;
    [TARGET, cs, flags & ~0x2_0000, At.STACK3, ss].forEach((w, i) => s.mem.write32(STACK + i * 4, w));
    s.setSeg(4, data, 0, 0xffff_ffff, data ? 0xc93 : 0x10000);
    s.setSeg(5, 0, 0, 0, 0x10000);
    for (const seg of [0, 3]) s.setSeg(seg, Sel.DATA3, 0, 0xffff_ffff, 0xcf3);
  };
}

interface Subject {
  name: string;
  bits?: 32 | 64;
  cpl?: number;
  op: SysOpName;
  code: number[];
  prepare: (r: Random) => (cpu: Cpu) => void;
}

const none = (): (cpu: Cpu) => void => () => {};
const SUBJECTS: Subject[] = [
  {
    name: "POPFQ",
    op: "popf",
    code: [0x9d],
    prepare: (r) => {
      const word = image(r);
      return ({ s }) => s.mem.write32(STACK, word);
    },
  },
  { name: "PUSHFQ", op: "pushf", code: [0x9c], prepare: none },
  { name: "STI, CLI", op: "sti", code: [0xfb, 0xfa], prepare: none },
  {
    name: "STI before MOV SS",
    op: "mov_to_sreg",
    code: [0xfb, 0x8e, 0xd0],
    prepare: () => ({ s }) => s.setReg(0, Sel.DATA0, 0),
  },
  {
    name: "RDTSC, PAUSE",
    op: "rdtsc",
    code: [0x0f, 0x31, 0xf3, 0x90],
    prepare: (r) => {
      const lo = r.u32(), hi = r.u32();
      return ({ s }) => s.setWords(L.TSC_OFFSET, lo >>> 0, hi >>> 0);
    },
  },
  {
    name: "SWAPGS",
    op: "swapgs",
    code: [0x0f, 0x01, 0xf8],
    prepare: (r) => {
      const base = r.u32();
      return ({ s }) => s.setNum(L.MSR_KERNEL_GS_BASE, base);
    },
  },
  {
    name: "CMPXCHG16B [RDI]",
    op: "cmpxchg16b",
    code: [0x48, 0x0f, 0xc7, 0x0f],
    prepare: (r) => {
      const equal = r.below(2) === 1, at = OPERAND + (r.below(8) === 0 ? 8 : r.below(200) * 16);
      return ({ s }) => {
        s.setReg(Gpr.DI, at, 0);
        if (!equal) return;
        s.mem.write32(at, s.lo(0));
        s.mem.write32(at + 4, s.hi(0));
        s.mem.write32(at + 8, s.lo(2));
        s.mem.write32(at + 12, s.hi(2));
      };
    },
  },
  { name: "IRETQ", op: "iret", code: [0x48, 0xcf], prepare: returnFrame },
  {
    name: "SYSCALL",
    op: "syscall",
    code: [0x0f, 0x05],
    prepare: (r) => {
      const mask = r.u32(), sce = r.below(8) > 0;
      return ({ s }) => {
        s.setWords(L.MSR_STAR, 0, Sel.CODE64 | Sel.CODE0 << 16);
        s.setWords(L.MSR_LSTAR, TARGET, 0);
        s.setWords(L.MSR_SFMASK, mask & ~0x4_0100 | 0x100, 0);
        if (!sce) s.u32[L.EFER >> 2] &= ~1;
      };
    },
  },
  {
    name: "SYSRET",
    op: "sysret",
    code: [0x48, 0x0f, 0x07],
    prepare: (r) => {
      const flags = image(r), hi = r.below(8) === 0 ? 0x8000 : 0;
      return ({ s }) => {
        s.setWords(L.MSR_STAR, 0, Sel.CODE64 | (Sel.CODE64_3 - 16) << 16);
        s.setReg(Gpr.CX, TARGET, hi);
        s.setReg(11, flags, 0);
      };
    },
  },
  ...[0, 3].map((cpl): Subject => ({
    name: `SYSENTER at CPL ${cpl}`,
    op: "sysenter",
    code: [0x0f, 0x34],
    bits: 32,
    cpl,
    prepare: (r) => {
      const sel = r.below(8) === 0 ? r.below(4) : Sel.CODE0 | r.below(4);
      return ({ s }) => {
        s.setWords(L.MSR_SYSENTER_CS, sel, 0);
        s.setWords(L.MSR_SYSENTER_ESP, STACK, 0);
        s.setWords(L.MSR_SYSENTER_EIP, TARGET, 0);
      };
    },
  })),
  {
    name: "SYSEXIT",
    op: "sysexit",
    code: [0x0f, 0x35],
    bits: 32,
    prepare: (r) => {
      const sel = r.below(8) === 0 ? r.below(4) : Sel.CODE0;
      return ({ s }) => {
        s.setWords(L.MSR_SYSENTER_CS, sel, 0);
        s.setReg(Gpr.CX, At.STACK3, 0);
        s.setReg(Gpr.DX, TARGET, 0);
      };
    },
  },
  { name: "IRETD", op: "iret", code: [0xcf], prepare: returnFrame32, bits: 32 },
  ...([64, 32] as const).flatMap((bits) =>
    [0, 3].flatMap((cpl) =>
      [0x30, 0x31, 0x32].map((vector): Subject => ({
        name: `INT 0x${vector.toString(16)} at CPL ${cpl} in ${bits}-bit code`,
        op: "int_n",
        code: [0xcd, vector],
        prepare: accessed,
        bits,
        cpl,
      }))
    )
  ),
];

for (const threshold of [0, 1]) {
  for (const { name, op, code, prepare, bits = 64, cpl = 0 } of SUBJECTS) {
    Deno.test(`${name} does ${threshold ? "compiled" : "interpreted"} what the system operation does`, () => {
      const r = new Random(SEED), pair = new Pair(threshold, code, op, bits, cpl);
      for (let n = 0; n < CASES; n++) {
        const registers = disorder(r, bits), rest = prepare(r);
        pair.compare((cpu) => {
          registers(cpu);
          rest(cpu);
        }, `seed ${SEED}, case ${n}`);
      }
      assert(threshold === 0 || pair.cpu.jit!.regions > 0);
      if (op !== "mov_to_sreg" && !(cpl === 3 && code[1] === 0x32)) {
        assert(pair.directCalls < CASES * 0.8, `left ${pair.directCalls} times of ${CASES}`);
      }
    });
  }
}

Deno.test("quotients of DIV and IDIV by 64 bits are those of the system operation", () => {
  const r = new Random(SEED);
  for (const [name, modrm] of [["DIV", 0xf6], ["IDIV", 0xfe]] as const) {
    const pair = new Pair(1, [0x48, 0xf7, modrm], name === "DIV" ? "div64" : "idiv64");
    for (let n = 0; n < CASES; n++) {
      const words = Array.from(
        { length: 4 },
        () => r.pick([0, 1, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, r.u32()]),
      );
      const high = r.pick([0, 0xffff_ffff]), [lo, hi, dLo, dHi] = words;
      const made = pair.run(({ s }) => {
        s.setReg(Gpr.AX, lo, hi);
        s.setReg(Gpr.DX, high, high);
        s.setReg(DIVISOR, dLo, dHi);
      }, true) as { registers: [number, number][]; rip: string };
      const wide = (l: number, h: number) => BigInt(h) << 32n | BigInt(l);
      let a = wide(high, high) << 64n | wide(lo, hi), d = wide(dLo, dHi);
      if (name === "IDIV") [a, d] = [BigInt.asIntN(128, a), BigInt.asIntN(64, d)];
      const q = d === 0n ? null : a / d;
      const fits = q !== null && q === (name === "DIV" ? BigInt.asUintN(64, q) : BigInt.asIntN(64, q));
      const got = [0, 2].map((x) => wide(...made.registers[x]));
      const what = `seed ${SEED}, ${name} case ${n}: ${a} / ${d}`;
      if (fits) assertEquals(got, [BigInt.asUintN(64, q!), BigInt.asUintN(64, a % d)], what);
      else assertEquals(got, [wide(lo, hi), wide(high, high)], what);
      assertEquals(made.rip.startsWith("2000"), !fits, what);
    }
  }
});
