/**
 * Operands of one decoded instruction: our record against iced-x86.
 *
 * @module
 */
import { CodeSize, type Instruction, Mnemonic, OpKind, Register } from "iced-x86";
import { Field } from "../../core/cpu/decode/entry.ts";
import type { Decoder } from "../../core/cpu/decode/decoder.ts";
import { REC, REC_SIZE } from "../../core/cpu/insn.ts";
import * as L from "../../core/layout.ts";

const u8 = new Uint8Array(REC_SIZE), record = new DataView(u8.buffer);

/** Stands for the registers of the x87 stack. */
const STACK = -2;

/** Place of a register in the general or vector register area, as records give it; -1 for other registers. */
function fieldOf(r: Register): number {
  const within = (first: Register, count: number) => r >= first && r < first + count;
  if (within(Register.AL, 4)) return (r - Register.AL) * 8;
  if (within(Register.AH, 4)) return (r - Register.AH) * 8 + 1;
  if (within(Register.SPL, 12)) return (r - Register.SPL + 4) * 8;
  for (const first of [Register.AX, Register.EAX, Register.RAX]) {
    if (within(first, 16)) return (r - first) * 8;
  }
  if (within(Register.XMM0, 16)) return (r - Register.XMM0) * 16;
  if (within(Register.ST0, 8)) return STACK;
  return within(Register.MM0, 8) ? (r - Register.MM0) * 16 : -1;
}

const baseOf = (r: Register): number =>
  r === Register.None || r === Register.EIP || r === Register.RIP ? L.ZERO : fieldOf(r);

const wide = (at: number): bigint => record.getBigInt64(at, true);

const IMMEDIATE_BITS: ReadonlyMap<OpKind, number> = new Map([
  [OpKind.Immediate8, 8],
  [OpKind.Immediate16, 16],
  [OpKind.Immediate32, 32],
  [OpKind.Immediate64, 64],
  [OpKind.Immediate8to16, 16],
  [OpKind.Immediate8to32, 32],
  [OpKind.Immediate8to64, 64],
  [OpKind.Immediate32to64, 64],
]);

/** A memory operand as text; base and an index that is not scaled are the same thing. */
function address(base: number, index: number, scale: number, segment: number | "", disp: bigint): string {
  const [b, x] = index !== L.ZERO && scale === 0 && base > index ? [index, base] : [base, index];
  return [b, x, x === L.ZERO ? 0 : scale, segment, disp].join(" ");
}

function memory(i: Instruction): string {
  // XLAT's is implied.
  if (i.mnemonic === Mnemonic.Xlatb) return "";
  const bits = u8[REC.ADDRSIZE] * 8;
  // iced names an override that 64-bit code ignores (SDM vol. 1, 3.7.4).
  const ignored = i.codeSize === CodeSize.Code64 && i.segmentPrefix >= Register.ES &&
    i.segmentPrefix <= Register.DS;
  const ours = address(
    u8[REC.BASE],
    u8[REC.INDEX],
    u8[REC.SCALE],
    ignored ? "" : u8[REC.SEG] / L.SEG_SIZE,
    BigInt.asUintN(bits, wide(REC.DISP)),
  );
  const theirs = address(
    baseOf(i.memoryBase),
    baseOf(i.memoryIndex),
    Math.log2(i.memoryIndexScale),
    ignored ? "" : i.memorySegment - Register.ES,
    BigInt.asUintN(bits, i.memoryDisplacement),
  );
  return ours === theirs ? "" : `base, index, scale, segment, displacement ${ours}, iced ${theirs}`;
}

/** What of an operand differs; "": nothing that records keep. */
function operand(i: Instruction, n: number, kind: OpKind): string {
  const bits = IMMEDIATE_BITS.get(kind), imm = wide(REC.IMM);
  const differs = (what: string, ours: bigint, theirs: bigint) =>
    ours === theirs ? "" : `${what} ${ours.toString(16)}, iced ${theirs.toString(16)}`;
  if (bits !== undefined) {
    return differs("immediate", BigInt.asUintN(bits, imm), BigInt.asUintN(bits, i.immediate(n)));
  }
  switch (kind) {
    case OpKind.Memory:
      return memory(i);
    case OpKind.Immediate8_2nd:
      return differs("second immediate", imm >> 32n & 0xffn, i.immediate(n));
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return differs("branch target", BigInt.asUintN(64, imm), i.nearBranchTarget);
    case OpKind.FarBranch16:
    case OpKind.FarBranch32: {
      const offset = kind === OpKind.FarBranch16 ? i.farBranch16 : i.farBranch32;
      return differs(
        "far target",
        BigInt.asUintN(48, imm),
        BigInt(i.farBranchSelector) << 32n | BigInt(offset),
      );
    }
  }
  return "";
}

/** What a decoder and iced-x86 make different of the operands of one instruction; "": nothing. */
export function operandDifference(decoder: Decoder, i: Instruction): string {
  decoder.write(u8, record, 0, 0);
  const registers: number[] = [];
  for (let n = 0; n < i.opCount; n++) {
    const kind = i.opKind(n);
    if (kind === OpKind.Register) registers.push(fieldOf(i.opRegister(n)));
    else {
      const difference = operand(i, n, kind);
      if (difference !== "") return difference;
    }
  }
  // x87 instructions take their stack registers from ModRM itself, and FNSTSW's is always AX.
  if (registers.length === 0 || registers.includes(STACK) || i.mnemonic === Mnemonic.Fnstsw) return "";
  for (const f of decoder.entry.fields) {
    const first = [Field.V, Field.G, Field.P, Field.Z].includes((f & 7) as 0);
    if (!first && decoder.context.isMem) continue;
    const ours = u8[first ? REC.R0 : REC.R1];
    if (!registers.includes(ours)) return `register field ${ours}, iced ${registers.join(" ")}`;
  }
  return "";
}
