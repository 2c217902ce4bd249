/**
 * Runs single x87 instructions on our FPU and, through a small native program, on the host's.
 */
import { Insn, OPF_MEM, REC } from "../core/cpu/insn.ts";
import { x87Ops } from "../core/cpu/x87/mod.ts";
import { fullTagWord } from "../core/cpu/x87/env.ts";
import * as L from "../core/layout.ts";
import { faultOf, protectedMachine, TestCore } from "./system_fixture.ts";

/** One instruction and the state it starts from. */
export interface X87Case {
  /** Instruction bytes; memory operands must be [RDI] (ModRM.rm = 7, mod = 0). */
  code: number[];
  fcw: number;
  fsw: number;
  /** Full tag word. */
  ftw: number;
  /** ST(0) to ST(7): sign and exponent, significand. */
  regs: [number, bigint][];
  memory: Uint8Array;
  rflags: number;
}

/** What an instruction left. */
export interface X87Result {
  ax: number;
  rflags: number;
  fcw: number;
  fsw: number;
  ftw: number;
  /** ST(0) to ST(7). */
  regs: [number, bigint][];
  memory: Uint8Array;
}

/** Bytes of the memory operand's area. */
export const MEMORY_BYTES = 512;
const CASE_BYTES = 16 + 4 + 108 + MEMORY_BYTES, RESULT_BYTES = 8 + 108 + MEMORY_BYTES;

/** Builds the native program into a temporary folder and answers its path. */
export async function buildHost(): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "x87" });
  const out = `${dir}/x87_host`;
  const source = new URL("./native/x87_host.c", import.meta.url).pathname;
  const r = await new Deno.Command("gcc", { args: ["-O1", "-Wall", "-Werror", "-o", out, source] }).output();
  if (!r.success) throw new Error(`gcc failed: ${new TextDecoder().decode(r.stderr)}`);
  return out;
}

/** Runs cases on the host processor. */
export async function runHost(program: string, cases: X87Case[]): Promise<X87Result[]> {
  const input = new Uint8Array(CASE_BYTES * cases.length);
  cases.forEach((t, n) => encode(t, new DataView(input.buffer, n * CASE_BYTES, CASE_BYTES)));
  const child = new Deno.Command(program, { stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  const [, output] = await Promise.all([writer.write(input).then(() => writer.close()), child.output()]);
  if (!output.success || output.stdout.length !== RESULT_BYTES * cases.length) {
    throw new Error(
      `host program failed after ${output.stdout.length / RESULT_BYTES} of ${cases.length} cases`,
    );
  }
  const bytes = output.stdout;
  return cases.map((_, n) =>
    decode(new DataView(bytes.buffer, bytes.byteOffset + n * RESULT_BYTES, RESULT_BYTES))
  );
}

function encode(t: X87Case, v: DataView): void {
  v.setUint8(0, t.code.length);
  t.code.forEach((b, n) => v.setUint8(1 + n, b));
  v.setUint32(16, t.rflags, true);
  v.setUint32(20, t.fcw, true);
  v.setUint32(24, t.fsw, true);
  v.setUint32(28, t.ftw, true);
  t.regs.forEach(([top, sig], n) => {
    v.setBigUint64(20 + 28 + n * 10, sig, true);
    v.setUint16(20 + 28 + n * 10 + 8, top, true);
  });
  t.memory.forEach((b, n) => v.setUint8(128 + n, b));
}

function decode(v: DataView): X87Result {
  const regs: [number, bigint][] = [];
  for (let n = 0; n < 8; n++) {
    regs.push([v.getUint16(8 + 28 + n * 10 + 8, true), v.getBigUint64(8 + 28 + n * 10, true)]);
  }
  return {
    ax: v.getUint32(0, true),
    rflags: v.getUint32(4, true) & 0x8d5,
    fcw: v.getUint16(8, true),
    fsw: v.getUint16(12, true),
    ftw: v.getUint16(16, true),
    regs,
    memory: new Uint8Array(v.buffer.slice(v.byteOffset + 116, v.byteOffset + 116 + MEMORY_BYTES)),
  };
}

const OPERAND = 0x2_0000;

/** Our FPU: one test core, reused. */
export class OurFpu {
  readonly core: TestCore = protectedMachine(0, "default,+pni");
  readonly #insn = new Insn(this.core.s);

  /** Runs one case. */
  run(t: X87Case): X87Result {
    const { s, mem } = this.core;
    s.u32[L.FCW >> 2] = t.fcw;
    s.u32[L.FSW >> 2] = t.fsw;
    s.u32[L.FTW >> 2] = t.ftw;
    const top = t.fsw >>> 11 & 7;
    t.regs.forEach(([se, sig], n) => {
      const at = L.FPR + ((top + n) & 7) * 16;
      s.view.setBigUint64(at, sig, true);
      s.view.setUint32(at + 8, se, true);
    });
    mem.write(OPERAND, t.memory);
    s.flags = t.rflags | 2;
    s.setReg(0, 0, 0);
    const fault = this.execute(t.code);
    if (fault !== null) throw new Error(`x87 ${t.code.map((b) => b.toString(16))} raised ${fault}`);
    const after = s.u32[L.FSW >> 2], regs: [number, bigint][] = [];
    for (let n = 0; n < 8; n++) {
      const at = L.FPR + ((after >>> 11 & 7) + n & 7) * 16;
      regs.push([s.view.getUint16(at + 8, true), s.view.getBigUint64(at, true)]);
    }
    return {
      ax: s.lo(0),
      rflags: s.flags & 0x8d5,
      fcw: s.u32[L.FCW >> 2],
      fsw: after,
      ftw: fullTagWord(this.core),
      regs,
      memory: mem.read(OPERAND, MEMORY_BYTES),
    };
  }

  /** Executes instruction bytes (x87 escape and ModRM, or 0F AE and ModRM); answers the vector of a fault, or null. */
  execute(code: number[], size = 4): number | null {
    const { s } = this.core, at = L.CODE, memory = code[0] === 0x0f || code[1] < 0xc0;
    s.u8.fill(0, at, at + 40);
    s.view.setUint16(at + REC.OP, memory ? OPF_MEM : 0, true);
    s.u8[at + REC.OPSIZE] = size;
    s.u8[at + REC.ADDRSIZE] = 4;
    s.u8[at + REC.BASE] = s.u8[at + REC.INDEX] = L.ZERO;
    s.u8[at + REC.SEG] = 3 * L.SEG_SIZE;
    s.u8[at + REC.LEN] = 2;
    s.setNum(at + REC.DISP, OPERAND);
    s.u32[(at + REC.RIP_LO) >> 2] = s.word(L.RIP);
    s.u32[(at + REC.IMM) >> 2] = code[0] | code[1] << 8;
    this.#insn.at = at;
    const op = code[0] !== 0x0f ? x87Ops.x87! : code[2] >> 3 === 0 ? x87Ops.fxsave! : x87Ops.fxrstor!;
    const fault = faultOf(() => op(this.core, this.#insn));
    return fault === null ? null : fault.vector;
  }
}
