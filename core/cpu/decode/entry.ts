/**
 * Opcode table lines turned into entries, and entries into instruction forms.
 *
 * @module
 */
import { type AddrKind, type Form, type Operand } from "../form.ts";
import { REC } from "../insn.ts";
import { SYS_OPS } from "../system/ops.ts";
import type { OpcodeMap, Spec } from "./tables.ts";

/** One parsed table line. */
export interface Entry {
  name: string;
  /** System operation number, or -1. */
  sys: number;
  operands: string[];
  hasModrm: boolean;
  flags: ReadonlySet<string>;
  /** `sub=` value. */
  sub: number;
  /** Fixed immediate of a system operation, or -1. */
  imm: number;
  /** CPUID feature needed, or "". `otherwise` is the name used without it, or "" for #UD. */
  feature: string;
  otherwise: string;
  /** System operation that executes what the semantic function leaves to it, or -1. */
  fallback: number;
  /** "sse" or "mmx" when the entry has operands of that kind, else "". */
  vector: "" | "sse" | "mmx";
  /** Operands that name registers, in the decoder's words: `Field` plus 8 for a byte register. */
  fields: readonly number[];
  /** Operands read from the instruction stream behind ModRM. */
  immediates: readonly string[];
  /** `EntryFlag` bits of `flags`, and what else the decoder asks of every instruction. */
  bits: number;
  /** Handler indexes by form variant, filled as they are met; null: none yet. */
  handlers: Int32Array | null;
}

/** Where a register operand comes from and which record field it fills. */
export const Field = { V: 0, G: 1, P: 2, Z: 3, W: 4, Q: 5, E: 6 } as const;
const FIELD_OF: Record<string, number> = {
  V: Field.V,
  G: Field.G,
  P: Field.P,
  Z: Field.Z,
  W: Field.W,
  U: Field.W,
  Q: Field.Q,
  N: Field.Q,
  E: Field.E,
  R: Field.E,
  M: Field.E,
};

/** Bits of `Entry.bits`. */
export const EntryFlag = {
  I64: 1,
  O64: 2,
  REG: 4,
  MEM: 8,
  LOCK: 0x10,
  S8: 0x20,
  REP: 0x40,
  /** Another entry stands in for this one at some operand size. */
  REPLACED: 0x80,
  /** ModRM.reg is a number that a system operation wants in `REC.R0`. */
  NUMBER: 0x100,
} as const;

/** Number of variants an entry can have: see `variantIndex`. */
export const VARIANTS = 2 * 3 * 3 * 3 * 2 * 3 * 3;

const OPERAND_NEEDS_MODRM = /^([EGMRVWPQUN][a-z]?)$/;

/** Parses one line of a table; "" gives null (undefined opcode). */
export function parseEntry(line: string): Entry | null {
  if (line === "") return null;
  const [head, tail = ""] = line.split(" ;");
  const [rawName, opText = ""] = head.split(" ");
  const operands = opText === "" ? [] : opText.split(",");
  const flags = new Set<string>();
  let sub = 0, imm = -1, feature = "", otherwise = "", fallback = "";
  for (const flag of tail.split(" ").filter((x) => x !== "")) {
    if (flag.startsWith("sub=")) sub = Number(flag.slice(4));
    else if (flag.startsWith("cpu=")) feature = flag.slice(4);
    else if (flag.startsWith("else=")) otherwise = flag.slice(5);
    else if (flag.startsWith("sys=")) fallback = flag.slice(4);
    else if (flag === "fp") fallback = "sse_fp";
    else if (/^imm\d+$/.test(flag)) imm = Number(flag.slice(3));
    else flags.add(flag);
  }
  const isSys = rawName.startsWith("@");
  const name = isSys ? rawName.slice(1) : rawName;
  const sys = isSys ? (SYS_OPS as readonly string[]).indexOf(name) : -1;
  if (isSys && sys < 0) throw new Error(`Cannot parse opcode table: unknown system operation ${name}`);
  const system = (SYS_OPS as readonly string[]).indexOf(fallback);
  const hasModrm = operands.some((o) => OPERAND_NEEDS_MODRM.test(o));
  let bits = 0;
  for (const flag of ["i64", "o64", "reg", "mem", "lock", "s8", "rep"] as const) {
    if (flags.has(flag)) bits |= EntryFlag[flag.toUpperCase() as keyof typeof EntryFlag];
  }
  if (name === "cmpxchg8b" || (/^i?div$/.test(name) && operands[0] === "Ev")) bits |= EntryFlag.REPLACED;
  if ((sys >= 0 || system >= 0) && hasModrm && !operands.some((o) => /^[GVWPQUN]/.test(o))) {
    bits |= EntryFlag.NUMBER;
  }
  return {
    name: isSys ? "sys" : name,
    sys,
    operands,
    hasModrm,
    flags,
    fields: operands.filter((o) => o[0] in FIELD_OF).map((o) => FIELD_OF[o[0]] | (o[1] === "b" ? 8 : 0)),
    immediates: operands.filter((o) => /^[1IJAO]/.test(o) && !/^A[vL]/.test(o)),
    bits,
    sub,
    imm,
    feature,
    otherwise,
    fallback: system,
    vector: operands.some((o) => /^[VWU]/.test(o))
      ? "sse"
      : operands.some((o) => /^[PQN]/.test(o))
      ? "mmx"
      : "",
    handlers: null,
  };
}

/** What selects a form beyond the entry: the mode and prefixes at one place. */
export interface Context {
  /** Operand size in bits: 16, 32, 64. */
  opsize: number;
  addr: AddrKind;
  stack: AddrKind;
  code64: boolean;
  /** ModRM names memory. */
  isMem: boolean;
  /** 0 none, 1 REP/REPE, 2 REPNE. */
  rep: number;
  /** Address size in bits (LEA). */
  asize: number;
}

const KINDS: AddrKind[] = ["L", "F", "G"];
/** Index of a context among an entry's variants. */
export function variantIndex(c: Context): number {
  const o = c.opsize === 16 ? 0 : c.opsize === 32 ? 1 : 2, a = c.asize === 16 ? 0 : c.asize === 32 ? 1 : 2;
  return ((((((c.isMem ? 1 : 0) * 3 + o) * 3 + KINDS.indexOf(c.addr)) * 3 + KINDS.indexOf(c.stack)) * 2 +
            (c.code64 ? 1 : 0)) * 3 + c.rep) * 3 + a;
}

/** Names of semantic functions that push or pop. */
export const STACK_USERS: ReadonlySet<string> = new Set([
  "push",
  "pop",
  "call",
  "call_ind",
  "ret",
  "leave",
  "pusha",
  "popa",
  "pushf",
  "popf",
  "iret",
  "int_n",
]);
const CODE64_USERS = new Set([
  ...["call_ind", "jmp_ind", "ret", "iret", "int_n"],
  ...["syscall", "sysret", "sysenter", "sysexit"],
]);
const FIXED_SIZE: Record<string, number> = { b: 8, w: 16, d: 32, q: 64, x: 128 };

/** Size in bits of an operand's size letter. */
export function letterSize(letter: string, opsize: number): number {
  const fixed = FIXED_SIZE[letter];
  if (fixed) return fixed;
  if (letter === "y") return opsize === 64 ? 64 : 32;
  return letter === "z" ? Math.min(opsize, 32) : opsize;
}

/** Operand size after the entry's defaults. */
export function effectiveOpsize(entry: Entry, c: Context): number {
  if (!c.code64) return c.opsize;
  if (entry.flags.has("f64")) return 64;
  if (entry.flags.has("d64")) return c.opsize === 16 ? 16 : 64;
  return c.opsize;
}

function operand(spec: string, opsize: number, c: Context): Operand | null {
  if (spec === "AL") return { k: "gpr", n: 0, size: 8 };
  if (spec === "CL") return { k: "gpr", n: 8, size: 8 };
  if (spec === "1") return { k: "imm", size: 8 };
  const size = letterSize(spec[1], opsize);
  switch (spec[0]) {
    case "E":
      return c.isMem ? { k: "mem", size, addr: c.addr } : { k: "reg", at: REC.R1, size };
    case "R":
      return { k: "reg", at: REC.R1, size };
    case "M":
      return { k: "mem", size: spec.length > 1 ? size : opsize, addr: c.addr };
    case "O":
      return { k: "mem", size, addr: c.addr };
    case "G":
    case "Z":
      return { k: "reg", at: REC.R0, size };
    case "A":
      return { k: "gpr", n: 0, size: opsize };
    case "V":
      return { k: "xmm", at: REC.R0, size };
    case "W":
      return c.isMem ? { k: "mem", size, addr: c.addr } : { k: "xmm", at: REC.R1, size };
    case "U":
      return { k: "xmm", at: REC.R1, size };
    case "P":
      return { k: "mm", at: REC.R0, size };
    case "Q":
      return c.isMem ? { k: "mem", size, addr: c.addr } : { k: "mm", at: REC.R1, size };
    case "N":
      return { k: "mm", at: REC.R1, size };
    case "I":
      return { k: "imm", size: spec === "I8" || spec === "Ib" ? 8 : spec === "Iw" ? 16 : opsize };
    default:
      return null;
  }
}

/** The form of an entry in a context. `name` overrides the entry's (fallback encodings). */
export function formOf(entry: Entry, c: Context, name = entry.name): Form {
  const blank: Form = { name, size: 0, ops: [], addr: "L", stack: "L", code64: false, sub: 0 };
  if (name === "sys" || name === "nop") return blank;
  const opsize = effectiveOpsize(entry, c);
  const ops: Operand[] = [];
  for (const spec of entry.operands) {
    const o = operand(spec, opsize, c);
    if (o) ops.push(o);
  }
  const usesMemory = ops.some((o) => o.k === "mem") || entry.flags.has("rep");
  const first = ops[0];
  return {
    name,
    size: entry.flags.has("s8") ? 8 : first && first.k !== "imm" ? first.size : opsize,
    ops,
    addr: usesMemory ? c.addr : "L",
    stack: STACK_USERS.has(name) ? c.stack : "L",
    code64: CODE64_USERS.has(name) && c.code64,
    sub: name === "lea" ? c.asize : entry.flags.has("rep") ? c.rep : entry.sub,
  };
}

/** A map with every line parsed. */
export type ParsedSpec = Entry | null | ParsedGroup;
/** A group selected by ModRM.reg, ModRM.rm, mod, or mandatory prefix. */
export interface ParsedGroup {
  by: "reg" | "rm" | "prefix" | "mod";
  items: ParsedSpec[];
}

/** Parses a table cell. Prefix order of `items`: none, 66, F3, F2. */
export function parseSpec(s: Spec | undefined): ParsedSpec {
  if (s === undefined) return null;
  if (typeof s === "string") return parseEntry(s);
  if (Array.isArray(s)) return { by: "reg", items: s.map(parseSpec) };
  if (s.rm) return { by: "rm", items: s.rm.map(parseSpec) };
  if (s.mem !== undefined || s.reg !== undefined) {
    return { by: "mod", items: [parseSpec(s.mem), parseSpec(s.reg)] };
  }
  // A line for 66 that is not given is the one without prefix: there 66 is the operand-size prefix.
  return { by: "prefix", items: [s.np, s.p66 ?? s.np, s.f3, s.f2].map(parseSpec) };
}

/** Parses a whole map into a dense array of 256. */
export function parseMap(map: OpcodeMap): ParsedSpec[] {
  return Array.from({ length: 256 }, (_, i) => parseSpec(map[i]));
}

/** Every entry of a parsed map, groups flattened. */
export function* entriesOf(map: readonly ParsedSpec[]): Iterable<Entry> {
  for (const s of map) {
    if (s === null) continue;
    if ("by" in s) yield* entriesOf(s.items);
    else yield s;
  }
}
