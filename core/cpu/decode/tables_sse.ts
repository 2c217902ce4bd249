/**
 * Opcode lines of the vector extensions (MMX, SSE to SSE4.2), in the notation of `tables.ts`.
 *
 * Source: Intel SDM volume 2, appendix A. `sub=N` of the lane-wise operations is the WebAssembly SIMD opcode that does the
 * work (WebAssembly Core Specification 3.0, section 5.4); the flag `mm` marks the MMX form of an operation. The flag `fp`:
 * generated code may leave the instruction to the system operation "sse_fp"; `sub=128` there marks double precision.
 *
 * @module
 */
import type { OpcodeMap, Spec } from "./tables.ts";

/** The maps that vector instructions live in. */
export interface VectorMaps {
  secondary: OpcodeMap;
  map38: OpcodeMap;
  map3a: OpcodeMap;
}

/** `dst = op(dst, src)` lane by lane: the MMX form without prefix, the XMM form with 66. */
const lanes = (sub: number, name = "lanes", mmx = "mmx"): Spec => ({
  np: `${name} Pq,Qq ;sub=${sub} cpu=${mmx}`,
  p66: `${name} Vx,Wx ;sub=${sub} cpu=sse2`,
  f3: "",
  f2: "",
});
/** Low interleave: the MMX form reads 32 bits of memory. */
const unpackLow = (sub: number): Spec => ({
  np: { mem: `unpack Pq,Qd ;sub=${sub} cpu=mmx`, reg: `unpack Pq,Qq ;sub=${sub} cpu=mmx` },
  p66: `unpack Vx,Wx ;sub=${sub} cpu=sse2`,
  f3: "",
  f2: "",
});
/** SSE2 only. */
const wide = (line: string): Spec => ({ np: "", p66: line, f3: "", f2: "" });
/** Floating-point arithmetic: packed single, packed double, scalar single, scalar double. */
const fp = (name: string): Spec => ({
  np: `${name} Vx,Wx ;sub=0 fp cpu=sse`,
  p66: `${name} Vx,Wx ;sub=128 fp cpu=sse2`,
  f3: `${name} Vd,Wd ;sub=0 fp cpu=sse`,
  f2: `${name} Vq,Wq ;sub=128 fp cpu=sse2`,
});
/** A shift of 16, 32 or 64-bit lanes by a register or memory count. */
const shiftBy = (kind: number): Spec => lanes(kind, "vshift");
/** The same by an immediate: groups 12 to 14 (register forms only). */
const shiftGroup = (kind: number): Spec => ({
  np: `vshift_imm Nq,Ib ;sub=${kind} reg cpu=mmx`,
  p66: `vshift_imm Ux,Ib ;sub=${kind} reg cpu=sse2`,
  f3: "",
  f2: "",
});

/** 0F xx vector opcodes. */
const SECONDARY_SSE: OpcodeMap = {
  0x10: {
    np: "movu Vx,Wx ;cpu=sse",
    p66: "movu Vx,Wx ;cpu=sse2",
    f3: "mov_scalar Vd,Wd ;cpu=sse",
    f2: "mov_scalar Vq,Wq ;cpu=sse2",
  },
  0x11: {
    np: "movu Wx,Vx ;cpu=sse",
    p66: "movu Wx,Vx ;cpu=sse2",
    f3: "mov_part Wd,Vd ;cpu=sse",
    f2: "mov_part Wq,Vq ;cpu=sse2",
  },
  0x12: {
    np: { mem: "mov_part Vq,Wq ;cpu=sse", reg: "movhl Vx,Wx ;cpu=sse" },
    p66: "mov_part Vq,Wq ;mem cpu=sse2",
    f3: "dup_lanes Vx,Wx ;sub=0 cpu=pni",
    f2: "movddup Vx,Wq ;cpu=pni",
  },
  0x13: { np: "mov_part Wq,Vq ;mem cpu=sse", p66: "mov_part Wq,Vq ;mem cpu=sse2", f3: "", f2: "" },
  0x14: { np: "unpack Vx,Wx ;sub=2 cpu=sse", p66: "unpack Vx,Wx ;sub=3 cpu=sse2", f3: "", f2: "" },
  0x15: { np: "unpack Vx,Wx ;sub=6 cpu=sse", p66: "unpack Vx,Wx ;sub=7 cpu=sse2", f3: "", f2: "" },
  0x16: {
    np: { mem: "load_high Vx,Wq ;cpu=sse", reg: "movlh Vx,Wx ;cpu=sse" },
    p66: "load_high Vx,Wq ;mem cpu=sse2",
    f3: "dup_lanes Vx,Wx ;sub=1 cpu=pni",
    f2: "",
  },
  0x17: { np: "store_high Wq,Vx ;mem cpu=sse", p66: "store_high Wq,Vx ;mem cpu=sse2", f3: "", f2: "" },
  0x28: { np: "mova Vx,Wx ;cpu=sse", p66: "mova Vx,Wx ;cpu=sse2", f3: "", f2: "" },
  0x29: { np: "mova Wx,Vx ;cpu=sse", p66: "mova Wx,Vx ;cpu=sse2", f3: "", f2: "" },
  0x2a: {
    np: "@sse_fp Vx,Qq ;cpu=sse",
    p66: "@sse_fp Vx,Qq ;cpu=sse2",
    f3: "cvt_from_int Vd,Ey ;sub=0 fp cpu=sse",
    f2: "cvt_from_int Vq,Ey ;sub=128 fp cpu=sse2",
  },
  0x2b: { np: "mova Wx,Vx ;mem cpu=sse", p66: "mova Wx,Vx ;mem cpu=sse2", f3: "", f2: "" },
  0x2c: {
    np: "@sse_fp Pq,Wq ;cpu=sse",
    p66: "@sse_fp Pq,Wx ;cpu=sse2",
    f3: "cvt_to_int Gy,Wd ;sub=1 fp cpu=sse",
    f2: "cvt_to_int Gy,Wq ;sub=129 fp cpu=sse2",
  },
  0x2d: {
    np: "@sse_fp Pq,Wq ;cpu=sse",
    p66: "@sse_fp Pq,Wx ;cpu=sse2",
    f3: "cvt_to_int Gy,Wd ;sub=0 fp cpu=sse",
    f2: "cvt_to_int Gy,Wq ;sub=128 fp cpu=sse2",
  },
  0x2e: { np: "comis Vd,Wd ;sub=0 fp cpu=sse", p66: "comis Vq,Wq ;sub=128 fp cpu=sse2", f3: "", f2: "" },
  0x2f: { np: "comis Vd,Wd ;sub=0 fp cpu=sse", p66: "comis Vq,Wq ;sub=128 fp cpu=sse2", f3: "", f2: "" },
  0x50: { np: "mask Gd,Ux ;sub=164 reg cpu=sse", p66: "mask Gd,Ux ;sub=196 reg cpu=sse2", f3: "", f2: "" },
  0x51: fp("fp_sqrt"),
  0x52: { np: "@sse_fp Vx,Wx ;cpu=sse", p66: "", f3: "@sse_fp Vd,Wd ;cpu=sse", f2: "" },
  0x53: { np: "@sse_fp Vx,Wx ;cpu=sse", p66: "", f3: "@sse_fp Vd,Wd ;cpu=sse", f2: "" },
  0x54: { np: "lanes Vx,Wx ;sub=78 cpu=sse", p66: "lanes Vx,Wx ;sub=78 cpu=sse2", f3: "", f2: "" },
  0x55: { np: "andn Vx,Wx ;cpu=sse", p66: "andn Vx,Wx ;cpu=sse2", f3: "", f2: "" },
  0x56: { np: "lanes Vx,Wx ;sub=80 cpu=sse", p66: "lanes Vx,Wx ;sub=80 cpu=sse2", f3: "", f2: "" },
  0x57: { np: "lanes Vx,Wx ;sub=81 cpu=sse", p66: "lanes Vx,Wx ;sub=81 cpu=sse2", f3: "", f2: "" },
  0x58: fp("fp_add"),
  0x59: fp("fp_mul"),
  0x5a: {
    np: "cvt_widen_packed Vx,Wq ;fp cpu=sse2",
    p66: "cvt_narrow_packed Vx,Wx ;fp cpu=sse2",
    f3: "cvt_widen Vq,Wd ;fp cpu=sse2",
    f2: "cvt_narrow Vd,Wq ;fp cpu=sse2",
  },
  0x5b: {
    np: "cvt_dq2ps Vx,Wx ;fp cpu=sse2",
    p66: "cvt_to_dq Vx,Wx ;sub=0 fp cpu=sse2",
    f3: "cvt_to_dq Vx,Wx ;sub=1 fp cpu=sse2",
    f2: "",
  },
  0x5c: fp("fp_sub"),
  0x5d: fp("fp_min"),
  0x5e: fp("fp_div"),
  0x5f: fp("fp_max"),
  0x60: unpackLow(0),
  0x61: unpackLow(1),
  0x62: unpackLow(2),
  0x63: lanes(0x65, "pack"),
  0x64: lanes(0x27),
  0x65: lanes(0x31),
  0x66: lanes(0x3b),
  0x67: lanes(0x66, "pack"),
  0x68: lanes(4, "unpack"),
  0x69: lanes(5, "unpack"),
  0x6a: lanes(6, "unpack"),
  0x6b: lanes(0x85, "pack"),
  0x6c: wide("unpack Vx,Wx ;sub=3 cpu=sse2"),
  0x6d: wide("unpack Vx,Wx ;sub=7 cpu=sse2"),
  0x6e: { np: "mov_in Pq,Ey ;cpu=mmx", p66: "mov_in Vx,Ey ;cpu=sse2", f3: "", f2: "" },
  0x6f: {
    np: "mov_part Pq,Qq ;mm cpu=mmx",
    p66: "mova Vx,Wx ;cpu=sse2",
    f3: "movu Vx,Wx ;cpu=sse2",
    f2: "",
  },
  0x70: {
    np: "pshufw Pq,Qq,Ib ;cpu=sse",
    p66: "pshufd Vx,Wx,Ib ;cpu=sse2",
    f3: "pshuf_half Vx,Wx,Ib ;sub=1 cpu=sse2",
    f2: "pshuf_half Vx,Wx,Ib ;sub=0 cpu=sse2",
  },
  0x71: ["", "", shiftGroup(0x8d), "", shiftGroup(0x8c), "", shiftGroup(0x8b), ""],
  0x72: ["", "", shiftGroup(0xad), "", shiftGroup(0xac), "", shiftGroup(0xab), ""],
  0x73: [
    "",
    "",
    shiftGroup(0xcd),
    wide("byte_shift Ux,Ib ;sub=0 reg cpu=sse2"),
    "",
    "",
    shiftGroup(0xcb),
    wide("byte_shift Ux,Ib ;sub=1 reg cpu=sse2"),
  ],
  0x74: lanes(0x23),
  0x75: lanes(0x2d),
  0x76: lanes(0x37),
  0x7c: { np: "", p66: "@sse_fp Vx,Wx ;cpu=pni", f3: "", f2: "@sse_fp Vx,Wx ;cpu=pni" },
  0x7d: { np: "", p66: "@sse_fp Vx,Wx ;cpu=pni", f3: "", f2: "@sse_fp Vx,Wx ;cpu=pni" },
  0x7e: {
    np: "mov_out Ey,Pq ;cpu=mmx",
    p66: "mov_out Ey,Vx ;cpu=sse2",
    f3: "movq Vx,Wq ;cpu=sse2",
    f2: "",
  },
  0x7f: {
    np: "mov_part Qq,Pq ;mm cpu=mmx",
    p66: "mova Wx,Vx ;cpu=sse2",
    f3: "movu Wx,Vx ;cpu=sse2",
    f2: "",
  },
  0xc2: {
    np: "fp_compare Vx,Wx,Ib ;sub=0 fp cpu=sse",
    p66: "fp_compare Vx,Wx,Ib ;sub=128 fp cpu=sse2",
    f3: "fp_compare Vd,Wd,Ib ;sub=0 fp cpu=sse",
    f2: "fp_compare Vq,Wq,Ib ;sub=128 fp cpu=sse2",
  },
  0xc4: { np: "pinsrw Pq,Ew,Ib ;cpu=sse", p66: "pinsrw Vx,Ew,Ib ;cpu=sse2", f3: "", f2: "" },
  0xc5: { np: "pextrw Gd,Nq,Ib ;reg cpu=sse", p66: "pextrw Gd,Ux,Ib ;reg cpu=sse2", f3: "", f2: "" },
  0xc6: { np: "shufps Vx,Wx,Ib ;cpu=sse", p66: "shufpd Vx,Wx,Ib ;cpu=sse2", f3: "", f2: "" },
  0xd0: { np: "", p66: "@sse_fp Vx,Wx ;cpu=pni", f3: "", f2: "@sse_fp Vx,Wx ;cpu=pni" },
  0xd1: shiftBy(0x8d),
  0xd2: shiftBy(0xad),
  0xd3: shiftBy(0xcd),
  0xd4: lanes(0xce, "lanes", "sse2"),
  0xd5: lanes(0x95),
  0xd6: {
    np: "",
    p66: "movq Wq,Vq ;cpu=sse2",
    f3: "movq Vx,Nq ;reg cpu=sse2",
    f2: "mov_part Pq,Uq ;reg mm cpu=sse2",
  },
  0xd7: { np: "mask Gd,Nq ;sub=100 reg cpu=sse", p66: "mask Gd,Ux ;sub=100 reg cpu=sse2", f3: "", f2: "" },
  0xd8: lanes(0x73),
  0xd9: lanes(0x93),
  0xda: lanes(0x77, "lanes", "sse"),
  0xdb: lanes(0x4e),
  0xdc: lanes(0x70),
  0xdd: lanes(0x90),
  0xde: lanes(0x79, "lanes", "sse"),
  0xdf: lanes(0, "andn"),
  0xe0: lanes(0x7b, "lanes", "sse"),
  0xe1: shiftBy(0x8c),
  0xe2: shiftBy(0xac),
  0xe3: lanes(0x9b, "lanes", "sse"),
  0xe4: lanes(1, "pmulhw", "sse"),
  0xe5: lanes(0, "pmulhw"),
  0xe6: {
    np: "",
    p66: "cvt_to_dq Vx,Wx ;sub=129 fp cpu=sse2",
    f3: "cvt_dq2pd Vx,Wq ;fp cpu=sse2",
    f2: "cvt_to_dq Vx,Wx ;sub=128 fp cpu=sse2",
  },
  0xe7: { np: "mov_part Qq,Pq ;mm mem cpu=sse", p66: "mova Wx,Vx ;mem cpu=sse2", f3: "", f2: "" },
  0xe8: lanes(0x72),
  0xe9: lanes(0x92),
  0xea: lanes(0x96, "lanes", "sse"),
  0xeb: lanes(0x50),
  0xec: lanes(0x6f),
  0xed: lanes(0x8f),
  0xee: lanes(0x98, "lanes", "sse"),
  0xef: lanes(0x51),
  0xf0: { np: "", p66: "", f3: "", f2: "movu Vx,Wx ;mem cpu=pni" },
  0xf1: shiftBy(0x8b),
  0xf2: shiftBy(0xab),
  0xf3: shiftBy(0xcb),
  0xf4: lanes(0, "pmuludq", "sse2"),
  0xf5: lanes(0xba),
  0xf6: lanes(0, "psadbw", "sse"),
  0xf7: { np: "maskmov Pq,Nq ;reg seg cpu=sse", p66: "maskmov Vx,Ux ;reg seg cpu=sse2", f3: "", f2: "" },
  0xf8: lanes(0x71),
  0xf9: lanes(0x91),
  0xfa: lanes(0xb1),
  0xfb: lanes(0xd1, "lanes", "sse2"),
  0xfc: lanes(0x6e),
  0xfd: lanes(0x8e),
  0xfe: lanes(0xae),
};

/** SSSE3, MMX and XMM forms. */
const ssse3 = (sub: number, name: string): Spec => ({
  np: `${name} Pq,Qq ;sub=${sub} cpu=ssse3`,
  p66: `${name} Vx,Wx ;sub=${sub} cpu=ssse3`,
  f3: "",
  f2: "",
});
const sse41 = (line: string): Spec => wide(`${line} cpu=sse4_1`);
/** PMOVSX, PMOVZX: the source's letters and the SIMD opcodes that extend it step by step, first in the lowest byte. */
const extend = (source: string, steps: number): Spec => sse41(`vector_unary Vx,${source} ;sub=${steps}`);
/** PEXTRx and PINSRx: a general register of 32 bits or an element in memory. */
const element = (mem: string, reg: string): Spec =>
  wide2({ mem: `${mem} cpu=sse4_1`, reg: `${reg} cpu=sse4_1` });
const wide2 = (p66: Spec): Spec => ({ np: "", p66, f3: "", f2: "" });

/** 0F 38 xx. */
const MAP_38_SSE: OpcodeMap = {
  0x00: ssse3(0, "pshufb"),
  0x01: ssse3(0x8e, "horizontal"),
  0x02: ssse3(0xae, "horizontal"),
  0x03: ssse3(0x8f, "horizontal"),
  0x04: ssse3(0, "pmaddubsw"),
  0x05: ssse3(0x91, "horizontal"),
  0x06: ssse3(0xb1, "horizontal"),
  0x07: ssse3(0x92, "horizontal"),
  0x08: ssse3(0, "psign"),
  0x09: ssse3(1, "psign"),
  0x0a: ssse3(2, "psign"),
  0x0b: ssse3(0, "pmulhrsw"),
  0x10: sse41("blendv Vx,Wx ;sub=0"),
  0x14: sse41("blendv Vx,Wx ;sub=1"),
  0x15: sse41("blendv Vx,Wx ;sub=2"),
  0x17: sse41("ptest Vx,Wx ;"),
  0x1c: ssse3(0x60, "vector_unary"),
  0x1d: ssse3(0x80, "vector_unary"),
  0x1e: ssse3(0xa0, "vector_unary"),
  0x20: extend("Wq", 0x87),
  0x21: extend("Wd", 0xa787),
  0x22: extend("Ww", 0xc7a787),
  0x23: extend("Wq", 0xa7),
  0x24: extend("Wd", 0xc7a7),
  0x25: extend("Wq", 0xc7),
  0x28: sse41("pmuldq Vx,Wx ;"),
  0x29: sse41("lanes Vx,Wx ;sub=214"),
  0x2a: sse41("mova Vx,Wx ;mem"),
  0x2b: sse41("pack Vx,Wx ;sub=134"),
  0x30: extend("Wq", 0x89),
  0x31: extend("Wd", 0xa989),
  0x32: extend("Ww", 0xc9a989),
  0x33: extend("Wq", 0xa9),
  0x34: extend("Wd", 0xc9a9),
  0x35: extend("Wq", 0xc9),
  0x37: wide("lanes Vx,Wx ;sub=217 cpu=sse4_2"),
  0x38: sse41("lanes Vx,Wx ;sub=118"),
  0x39: sse41("lanes Vx,Wx ;sub=182"),
  0x3a: sse41("lanes Vx,Wx ;sub=151"),
  0x3b: sse41("lanes Vx,Wx ;sub=183"),
  0x3c: sse41("lanes Vx,Wx ;sub=120"),
  0x3d: sse41("lanes Vx,Wx ;sub=184"),
  0x3e: sse41("lanes Vx,Wx ;sub=153"),
  0x3f: sse41("lanes Vx,Wx ;sub=185"),
  0x40: sse41("lanes Vx,Wx ;sub=181"),
  0x41: sse41("phminposuw Vx,Wx ;"),
};
/** 0F 3A xx. */
const MAP_3A_SSE: OpcodeMap = {
  0x08: sse41("fp_round Vx,Wx,Ib ;sub=0 fp"),
  0x09: sse41("fp_round Vx,Wx,Ib ;sub=128 fp"),
  0x0a: sse41("fp_round Vd,Wd,Ib ;sub=0 fp"),
  0x0b: sse41("fp_round Vq,Wq,Ib ;sub=128 fp"),
  0x0c: sse41("blend Vx,Wx,Ib ;sub=4"),
  0x0d: sse41("blend Vx,Wx,Ib ;sub=8"),
  0x0e: sse41("blend Vx,Wx,Ib ;sub=2"),
  0x0f: {
    np: "palignr Pq,Qq,Ib ;cpu=ssse3",
    p66: "palignr Vx,Wx,Ib ;cpu=ssse3",
    f3: "",
    f2: "",
  },
  0x14: element("extract Mb,Vx,Ib ;sub=8", "extract Rd,Vx,Ib ;sub=8"),
  0x15: element("extract Mw,Vx,Ib ;sub=16", "extract Rd,Vx,Ib ;sub=16"),
  0x16: sse41("extract Ey,Vx,Ib ;sub=0"),
  0x17: element("extract Md,Vx,Ib ;sub=32", "extract Rd,Vx,Ib ;sub=32"),
  0x20: element("insert Vx,Mb,Ib ;sub=8", "insert Vx,Rd,Ib ;sub=8"),
  0x21: sse41("insertps Vd,Wd,Ib ;"),
  0x22: sse41("insert Vx,Ey,Ib ;sub=0"),
  0x40: sse41("@sse_fp Vx,Wx,Ib ;"),
  0x41: sse41("@sse_fp Vx,Wx,Ib ;"),
  0x42: sse41("mpsadbw Vx,Wx,Ib ;"),
  0x60: wide("@sse_fp Vx,Wx,Ib ;cpu=sse4_2"),
  0x61: wide("@sse_fp Vx,Wx,Ib ;cpu=sse4_2"),
  0x62: wide("@sse_fp Vx,Wx,Ib ;cpu=sse4_2"),
  0x63: wide("@sse_fp Vx,Wx,Ib ;cpu=sse4_2"),
};

/** The integer maps with the vector lines put in. */
export function addVectorMaps(m: VectorMaps): VectorMaps {
  return {
    secondary: { ...m.secondary, ...SECONDARY_SSE },
    map38: { ...m.map38, ...MAP_38_SSE },
    map3a: { ...m.map3a, ...MAP_3A_SSE },
  };
}
