/**
 * The opcode maps: one line an encoding, in the manual's operand notation.
 *
 * Source: Intel SDM volume 2, appendix A; AMD APM volume 3, appendix A.
 *
 * An entry is `name operands ;flags`. A name starting with "@" is a system operation (`core/cpu/system/ops.ts`).
 * Operands: E/G/Z/M/I/J/O/A/C as in the manual's addressing-method letters (E ModRM.rm general, G ModRM.reg, Z register in
 * the opcode, M memory only, I immediate, J branch displacement, O absolute offset), V/W XMM in ModRM.reg / ModRM.rm,
 * P/Q MMX likewise; sizes b w d q x (fixed), v (16/32/64), z (16/32), y (32/64), s (byte sign-extended). AL, CL, Av, 1
 * are fixed.
 *
 * Flags: i64 invalid in 64-bit code; o64 only there; d64 64-bit operand by default there; f64 always 64-bit there;
 * lock LOCK allowed with a memory destination; s8 byte operation; mem / reg ModRM must name memory / a register;
 * rep string instruction; sub=N selector for the semantic function; sysN / immN fixed immediate for a system operation;
 * sys=NAME system operation for the cases the semantic function leaves (fp: sse_fp);
 * cpu=F needs CPUID feature F, else #UD; far reads a far pointer; nm ModRM operand present but unused.
 *
 * @module
 */
import { X87 } from "./tables_x87.ts";

/** A map: index = opcode. A list is a group selected by ModRM.reg; an object selects by mandatory prefix. */
export type Spec = string | Spec[] | {
  np?: Spec;
  p66?: Spec;
  f3?: Spec;
  f2?: Spec;
  mem?: Spec;
  reg?: Spec;
  rm?: Spec[];
};
/** One opcode map. */
export type OpcodeMap = Record<number, Spec>;

const CC = 16;
const ALU = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"];
const SHIFT = ["rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar"];

/** An instruction that 66, F3 and F2 make undefined. */
const NP = (line: string): Spec => ({ np: line, p66: "" });

/** One-byte opcodes. */
export const PRIMARY: OpcodeMap = {
  0x06: "@push_sreg ;i64 imm0",
  0x07: "@pop_sreg ;i64 imm0",
  0x0e: "@push_sreg ;i64 imm1",
  0x16: "@push_sreg ;i64 imm2",
  0x17: "@pop_sreg ;i64 imm2",
  0x1e: "@push_sreg ;i64 imm3",
  0x1f: "@pop_sreg ;i64 imm3",
  0x27: "daa ;i64",
  0x2f: "das ;i64",
  0x37: "aaa ;i64",
  0x3f: "aas ;i64",
  0x60: "pusha ;i64",
  0x61: "popa ;i64",
  0x62: "@bound Gv,M ;i64 mem",
  0x68: "push Iz ;d64",
  0x69: "imul2 Gv,Ev,Iz",
  0x6a: "push Is ;d64",
  0x6b: "imul2 Gv,Ev,Is",
  0x6c: "@ins ;s8 rep",
  0x6d: "@ins ;rep",
  0x6e: "@outs ;s8 rep",
  0x6f: "@outs ;rep",
  0x80: ALU.map((n) => `${n} Eb,Ib${n === "cmp" ? "" : " ;lock"}`),
  0x81: ALU.map((n) => `${n} Ev,Iz${n === "cmp" ? "" : " ;lock"}`),
  0x82: ALU.map((n) => `${n} Eb,Ib ;i64${n === "cmp" ? "" : " lock"}`),
  0x83: ALU.map((n) => `${n} Ev,Is${n === "cmp" ? "" : " ;lock"}`),
  0x84: "test Eb,Gb",
  0x85: "test Ev,Gv",
  0x86: "xchg Eb,Gb ;lock",
  0x87: "xchg Ev,Gv ;lock",
  0x88: "mov Eb,Gb",
  0x89: "mov Ev,Gv",
  0x8a: "mov Gb,Eb",
  0x8b: "mov Gv,Ev",
  0x8c: { mem: "@mov_from_sreg Ev", reg: "mov_from_sreg Rv ;sys=mov_from_sreg" },
  0x8d: "lea Gv,M ;mem",
  0x8e: "@mov_to_sreg Ev",
  0x8f: ["pop Ev ;d64", "", "", "", "", "", "", ""],
  0x98: "cbw",
  0x99: "cwd",
  0x9a: "@call_far_ptr Ap ;i64",
  0x9b: "@fwait",
  0x9c: "pushf ;d64 sys=pushf",
  0x9d: "popf ;d64 sys=popf",
  0x9e: "sahf",
  0x9f: "lahf",
  0xa0: "mov AL,Ob",
  0xa1: "mov Av,Ov",
  0xa2: "mov Ob,AL",
  0xa3: "mov Ov,Av",
  0xa4: "movs ;s8 rep",
  0xa5: "movs ;rep",
  0xa6: "cmps ;s8 rep",
  0xa7: "cmps ;rep",
  0xa8: "test AL,Ib",
  0xa9: "test Av,Iz",
  0xaa: "stos ;s8 rep",
  0xab: "stos ;rep",
  0xac: "lods ;s8 rep",
  0xad: "lods ;rep",
  0xae: "scas ;s8 rep",
  0xaf: "scas ;rep",
  0xc0: SHIFT.map((n) => `${n} Eb,Ib`),
  0xc1: SHIFT.map((n) => `${n} Ev,I8`),
  0xc2: "ret Iw ;f64 sub=1",
  0xc3: "ret ;f64",
  0xc4: "@load_far_ptr Gv,M ;i64 mem imm0",
  0xc5: "@load_far_ptr Gv,M ;i64 mem imm3",
  0xc6: ["mov Eb,Ib", "", "", "", "", "", "", ""],
  0xc7: ["mov Ev,Iz", "", "", "", "", "", "", ""],
  0xc8: "@enter Ie ;d64",
  0xc9: "leave ;d64",
  0xca: "@ret_far Iw",
  0xcb: "@ret_far",
  0xcc: "@int3",
  0xcd: "int_n Ib ;sys=int_n",
  0xce: "@into ;i64",
  0xcf: "iret ;sys=iret",
  0xd0: SHIFT.map((n) => `${n} Eb,1`),
  0xd1: SHIFT.map((n) => `${n} Ev,1`),
  0xd2: SHIFT.map((n) => `${n} Eb,CL`),
  0xd3: SHIFT.map((n) => `${n} Ev,CL`),
  0xd4: "aam Ib ;i64",
  0xd5: "aad Ib ;i64",
  0xd6: "salc ;i64",
  0xd7: "xlat ;seg",
  0xe0: "loop Jb ;f64 sub=0",
  0xe1: "loop Jb ;f64 sub=1",
  0xe2: "loop Jb ;f64 sub=2",
  0xe3: "jcxz Jb ;f64",
  0xe4: "@in_imm Ib ;s8",
  0xe5: "@in_imm Ib",
  0xe6: "@out_imm Ib ;s8",
  0xe7: "@out_imm Ib",
  0xe8: "call Jz ;f64",
  0xe9: "jmp Jz ;f64",
  0xea: "@jmp_far_ptr Ap ;i64",
  0xeb: "jmp Jb ;f64",
  0xec: "@in_dx ;s8",
  0xed: "@in_dx",
  0xee: "@out_dx ;s8",
  0xef: "@out_dx",
  0xf1: "@icebp",
  0xf4: "@hlt",
  0xf5: "cmc",
  0xf6: [
    "test Eb,Ib",
    "test Eb,Ib",
    "not Eb ;lock",
    "neg Eb ;lock",
    "mul Eb",
    "imul Eb",
    "div Eb",
    "idiv Eb",
  ],
  0xf7: [
    "test Ev,Iz",
    "test Ev,Iz",
    "not Ev ;lock",
    "neg Ev ;lock",
    "mul Ev",
    "imul Ev",
    "div Ev",
    "idiv Ev",
  ],
  0xf8: "clc",
  0xf9: "stc",
  0xfa: "cli ;sys=cli",
  0xfb: "sti ;sys=sti",
  0xfc: "cld",
  0xfd: "std",
  0xfe: ["inc Eb ;lock", "dec Eb ;lock", "", "", "", "", "", ""],
  0xff: [
    "inc Ev ;lock",
    "dec Ev ;lock",
    "call_ind Ev ;f64",
    "@call_far_mem M ;mem",
    "jmp_ind Ev ;f64",
    "@jmp_far_mem M ;mem",
    "push Ev ;d64",
    "",
  ],
};
ALU.forEach((n, i) => {
  const lock = n === "cmp" ? "" : " ;lock";
  PRIMARY[i * 8] = `${n} Eb,Gb${lock}`;
  PRIMARY[i * 8 + 1] = `${n} Ev,Gv${lock}`;
  PRIMARY[i * 8 + 2] = `${n} Gb,Eb`;
  PRIMARY[i * 8 + 3] = `${n} Gv,Ev`;
  PRIMARY[i * 8 + 4] = `${n} AL,Ib`;
  PRIMARY[i * 8 + 5] = `${n} Av,Iz`;
});
for (let r = 0; r < 8; r++) {
  PRIMARY[0x40 + r] = "inc Zv ;i64";
  PRIMARY[0x48 + r] = "dec Zv ;i64";
  PRIMARY[0x50 + r] = "push Zv ;d64";
  PRIMARY[0x58 + r] = "pop Zv ;d64";
  PRIMARY[0x90 + r] = "xchg Zv,Av";
  PRIMARY[0xb0 + r] = "mov Zb,Ib";
  PRIMARY[0xb8 + r] = "mov Zv,Iv";
}
X87.forEach((spec, n) => PRIMARY[0xd8 + n] = spec);
for (let c = 0; c < CC; c++) PRIMARY[0x70 + c] = `jcc Jb ;f64 sub=${c}`;
/** 63: MOVSXD in 64-bit code, ARPL elsewhere. */
export const MOVSXD = "movsx Gv,Ez ;o64", ARPL = "@arpl Ew,Gw ;i64";
/** 90 with REX.B is an exchange; without it NOP, or PAUSE with F3. */
export const NOP = "nop", PAUSE = "pause ;sys=pause";

/** Two-byte opcodes (0F xx). */
export const SECONDARY: OpcodeMap = {
  0x00: ["@sldt Ev", "@str Ev", "@lldt Ew", "@ltr Ew", "@verr Ew", "@verw Ew", "", ""],
  0x01: {
    mem: ["@sgdt M", "@sidt M", "@lgdt M", "@lidt M", "@smsw Ew", "", "@lmsw Ew", "@invlpg M"],
    reg: [
      { rm: ["", NP("@vmcall"), "", "", "", "", "", ""] },
      {
        rm: [
          NP("@monitor ;cpu=monitor"),
          NP("@mwait ;cpu=monitor"),
          NP("@clac ;cpu=smap"),
          NP("@stac ;cpu=smap"),
          "",
          "",
          "",
          "",
        ],
      },
      { rm: [NP("@xgetbv ;cpu=xsave"), NP("@xsetbv ;cpu=xsave"), "", "", "", "", "", ""] },
      {
        rm: [
          "@svm_op ;imm216",
          "@vmmcall",
          "@svm_op ;imm218",
          "@svm_op ;imm219",
          "@svm_op ;imm220",
          "@svm_op ;imm221",
          "@svm_op ;imm222",
          "@svm_op ;imm223",
        ],
      },
      "@smsw Ev",
      { rm: ["", "", "", "", "", "", NP("@pkru ;imm238 cpu=pku"), NP("@pkru ;imm239 cpu=pku")] },
      "@lmsw Ew",
      { rm: ["swapgs ;o64 sys=swapgs", "@rdtscp ;cpu=rdtscp", "", "", "", "", "", ""] },
    ],
  },
  0x02: "@lar Gv,Ew",
  0x03: "@lsl Gv,Ew",
  0x05: "syscall ;sys=syscall",
  0x06: "@clts",
  0x07: "sysret ;sys=sysret",
  0x08: "@invd",
  0x09: "@wbinvd",
  0x0b: "@ud",
  0x0d: "nop Ev ;nm",
  0x20: "@mov_from_cr Rc",
  0x21: "@mov_from_dr Rc",
  0x22: "@mov_to_cr Rc",
  0x23: "@mov_to_dr Rc",
  0x30: "@wrmsr",
  0x31: "rdtsc ;sys=rdtsc",
  0x32: "@rdmsr",
  0x33: "@rdpmc",
  0x34: "sysenter ;cpu=sep sys=sysenter",
  0x35: "sysexit ;cpu=sep sys=sysexit",
  0x77: NP("@emms ;cpu=mmx"),
  0xa0: "@push_sreg ;d64 imm4",
  0xa1: "@pop_sreg ;d64 imm4",
  0xa2: "@cpuid",
  0xa3: "bt Ev,Gv",
  0xa4: "shld Ev,Gv,I8",
  0xa5: "shld Ev,Gv,CL",
  0xa8: "@push_sreg ;d64 imm5",
  0xa9: "@pop_sreg ;d64 imm5",
  0xab: "bts Ev,Gv ;lock",
  0xac: "shrd Ev,Gv,I8",
  0xad: "shrd Ev,Gv,CL",
  0xae: {
    mem: {
      np: [
        "@fxsave M ;cpu=fxsr",
        "@fxrstor M ;cpu=fxsr",
        "@ldmxcsr M ;cpu=sse",
        "@stmxcsr M ;cpu=sse",
        "@xsave M ;imm0 cpu=xsave",
        "@xrstor M ;imm0 cpu=xsave",
        "@xsave M ;imm1 cpu=xsaveopt",
        "touch Eb ;cpu=clflush",
      ],
      p66: "",
    },
    reg: {
      np: ["", "", "", "", "", "nop ;cpu=sse2", "nop ;cpu=sse2", "nop ;cpu=sse"],
      p66: "",
      f3: [
        "@rdfsgsbase Ry ;o64 imm4 cpu=fsgsbase",
        "@rdfsgsbase Ry ;o64 imm5 cpu=fsgsbase",
        "@wrfsgsbase Ry ;o64 imm4 cpu=fsgsbase",
        "@wrfsgsbase Ry ;o64 imm5 cpu=fsgsbase",
        "",
        "",
        "",
        "",
      ],
    },
  },
  0xaf: "imul2 Gv,Ev",
  0xb0: "cmpxchg Eb,Gb ;lock",
  0xb1: "cmpxchg Ev,Gv ;lock",
  0xb2: "@load_far_ptr Gv,M ;mem imm2",
  0xb3: "btr Ev,Gv ;lock",
  0xb4: "@load_far_ptr Gv,M ;mem imm4",
  0xb5: "@load_far_ptr Gv,M ;mem imm5",
  0xb6: "movzx Gv,Eb",
  0xb7: "movzx Gv,Ew",
  0xb8: { f3: "popcnt Gv,Ev ;cpu=popcnt" },
  0xb9: "@ud Ev ;nm",
  0xba: ["", "", "", "", "bt Ev,I8", "bts Ev,I8 ;lock", "btr Ev,I8 ;lock", "btc Ev,I8 ;lock"],
  0xbb: "btc Ev,Gv ;lock",
  0xbc: { np: "bsf Gv,Ev", f3: "tzcnt Gv,Ev ;cpu=bmi1 else=bsf", f2: "bsf Gv,Ev" },
  0xbd: { np: "bsr Gv,Ev", f3: "lzcnt Gv,Ev ;cpu=abm else=bsr", f2: "bsr Gv,Ev" },
  0xbe: "movsx Gv,Eb",
  0xbf: "movsx Gv,Ew",
  0xc0: "xadd Eb,Gb ;lock",
  0xc1: "xadd Ev,Gv ;lock",
  0xc3: NP("mov My,Gy ;mem cpu=sse2"),
  0xc7: {
    mem: [
      "",
      "cmpxchg8b M ;lock cx8",
      "",
      NP("@xrstor M ;imm3 cpu=xsaves"),
      NP("@xsave M ;imm2 cpu=xsavec"),
      NP("@xsave M ;imm3 cpu=xsaves"),
      "",
      "",
    ],
    reg: [
      "",
      "",
      "",
      "",
      "",
      "",
      { np: "@rdrand Rv ;imm6 cpu=rdrand" },
      { np: "@rdseed Rv ;imm7 cpu=rdseed" },
    ],
  },
  0xff: "@ud Ev ;nm",
};
for (let c = 0; c < CC; c++) {
  SECONDARY[0x40 + c] = `cmov Gv,Ev ;sub=${c} cpu=cmov`;
  SECONDARY[0x80 + c] = `jcc Jz ;f64 sub=${c}`;
  SECONDARY[0x90 + c] = `setcc Eb ;sub=${c}`;
}
for (let r = 0; r < 8; r++) SECONDARY[0xc8 + r] = "bswap Zv";
// Reserved NOPs (hint space), prefetches among them.
for (let n = 0x18; n <= 0x1f; n++) SECONDARY[n] = "nop Ev ;nm";

/** Three-byte opcodes 0F 38 xx and 0F 3A xx; the vector ones are in `tables_sse.ts`. */
export const MAP_38: OpcodeMap = {
  0x82: { p66: "@invpcid Gy,M ;mem cpu=invpcid" },
  0xf0: {
    np: "movbe Gv,Mv ;mem cpu=movbe",
    p66: "movbe Gv,Mv ;mem cpu=movbe",
    f2: "crc32 Gd,Eb ;cpu=sse4_2",
  },
  0xf1: {
    np: "movbe Mv,Gv ;mem cpu=movbe",
    p66: "movbe Mv,Gv ;mem cpu=movbe",
    f2: "crc32 Gd,Ev ;cpu=sse4_2",
  },
};
/** @see MAP_38 */
export const MAP_3A: OpcodeMap = {};
