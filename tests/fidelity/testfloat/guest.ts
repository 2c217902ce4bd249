/**
 * A guest that goes through TestFloat's cases in a loop: 64-bit supervisor code, everything mapped one to one, exceptions
 * masked.
 *
 * @module
 */
import { Cpu, Stopped } from "../../../core/cpu/cpu.ts";
import { parseCpuidSpec } from "../../../core/cpu/cpuid.ts";
import { Attr, Cr0, Cr4, Efer, Seg } from "../../../core/cpu/state.ts";
import * as L from "../../../core/layout.ts";
import { PhysMem } from "../../../core/mmu/physmem.ts";
import { noWorld } from "../no_world.ts";
import type { FloatFunction } from "./functions.ts";
import { AT, CASE_SIZE } from "./vectors.ts";

const PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, CODE = 0x10000, CONTROL = 0x20000, CASES = 0x20_0000;
const MEMORY = 0x400_0000;
/** Most cases in guest memory at a time. */
export const BATCH = Math.floor((MEMORY - CASES) / CASE_SIZE);

/** Assembles the loop around a function's code. */
export async function assemble(fn: FloatFunction): Promise<Uint8Array> {
  const text = [
    "bits 64",
    `org ${CODE}`,
    `again: ldmxcsr [abs ${CONTROL}]`,
    "fninit",
    `fldcw [abs ${CONTROL + 4}]`,
    ...fn.code,
    `stmxcsr [rsi+${AT.MXCSR}]`,
    `fnstsw [rsi+${AT.FSW}]`,
    `add rsi, ${CASE_SIZE}`,
    "dec rbx",
    "jnz again",
    "hlt",
  ].join("\n");
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-" });
  try {
    await Deno.writeTextFile(`${folder}/loop.asm`, text);
    const args = ["-f", "bin", "-o", `${folder}/loop.bin`, `${folder}/loop.asm`];
    const { success, stderr } = await new Deno.Command("nasm", { args, stderr: "piped" }).output();
    if (!success) {
      throw new Error(`nasm cannot assemble ${fn.name}: ${new TextDecoder().decode(stderr).trim()}`);
    }
    return await Deno.readFile(`${folder}/loop.bin`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** One engine with the guest in it. */
export class FloatGuest {
  readonly #mem = new PhysMem(MEMORY);
  readonly #counter = { icount: 0, skippedNs: 0 };
  readonly #cpu: Cpu;

  /** @param jitThreshold how often a block runs before it is compiled; 0: never */
  constructor(jitThreshold: number) {
    this.#mem.map(0, MEMORY);
    this.#cpu = new Cpu(this.#mem, noWorld, parseCpuidSpec("default"), this.#counter, jitThreshold);
    this.#mem.write32(PML4, PDPT | 3);
    this.#mem.write32(PDPT, PD | 3);
    for (let i = 0; i < MEMORY >>> 21; i++) this.#mem.write32(PD + i * 8, i << 21 | 0x83);
  }

  /** Regions compiled so far. */
  get regions(): number {
    return this.#cpu.jit?.regions ?? 0;
  }

  /**
   * Runs a loop over cases, whose results and flags are written into them.
   * @param code from `assemble`
   * @param cases at most `BATCH`
   * @param rc rounding control  @param pc x87 precision control
   */
  run(code: Uint8Array, cases: Uint8Array, rc: number, pc: number): Uint8Array {
    const cpu = this.#cpu, { s } = cpu, mem = this.#mem, count = cases.length / CASE_SIZE;
    mem.write(CODE, code);
    mem.write32(CONTROL, 0x1f80 | rc << 13);
    mem.write32(CONTROL + 4, 0x7f & ~0x40 | 0x40 | pc << 8 | rc << 10);
    mem.write(CASES, cases);
    s.u32[L.CR0 >> 2] = Cr0.PE | Cr0.MP | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.PG;
    s.u32[L.CR4 >> 2] = Cr4.PAE | Cr4.OSFXSR | Cr4.OSXMMEXCPT;
    s.u32[L.EFER >> 2] = Efer.LME | Efer.LMA;
    s.setNum(L.CR3, PML4);
    const present = Attr.P | Attr.S | Attr.G | Attr.ACCESSED;
    s.setSeg(Seg.CS, 8, 0, 0xffff_ffff, present | Attr.CODE | Attr.READABLE | Attr.L);
    for (const seg of [Seg.DS, Seg.ES, Seg.SS]) {
      s.setSeg(seg, 16, 0, 0xffff_ffff, present | Attr.WRITABLE | Attr.DB);
    }
    s.i32[L.CPL >> 2] = 0;
    s.flags = 2;
    s.setReg(6, CASES, 0);
    s.setReg(3, count, 0);
    s.rip = CODE;
    cpu.halted = false;
    cpu.updateMode();
    cpu.mmu.flushAll();
    const stopped = cpu.run(this.#counter.icount + count * 1000);
    if (stopped !== Stopped.HALTED || s.lo(3) !== 0) {
      throw new Error(
        `the loop did not end: stopped ${stopped} at ${s.rip.toString(16)}, ${s.lo(3)} cases left`,
      );
    }
    return mem.read(CASES, cases.length);
  }
}
