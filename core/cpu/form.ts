/**
 * Instruction forms: an instruction's name with the kinds and sizes of its operands. One form is one handler.
 *
 * @module
 */

/**
 * How a linear address is made: "L" 64-bit code, base 0 segment; "F" 32-bit code with flat segments; "G" anything else
 * (16-bit addresses, FS/GS or limited segments, address-size prefixes).
 */
export type AddrKind = "L" | "F" | "G";

/** An operand as semantics see it. Sizes in bits. */
export type Operand =
  /** Register named by the record field `at` (byte offset from GPR). */
  | { k: "reg"; at: number; size: number }
  /** Fixed general register at byte offset `n` from GPR. */
  | { k: "gpr"; n: number; size: number }
  | { k: "imm"; size: number }
  /** XMM register named by the record field `at` (byte offset from XMM). */
  | { k: "xmm"; at: number; size: number }
  /** MMX register named by the record field `at` (byte offset from FPR). */
  | { k: "mm"; at: number; size: number }
  | { k: "mem"; size: number; addr: AddrKind };

/** One form. */
export interface Form {
  /** Name of the semantic function. */
  name: string;
  /** Operand size in bits. */
  size: number;
  ops: Operand[];
  /** Kind of explicit or string-source memory addressing. */
  addr: AddrKind;
  /** Kind of stack addressing: "L" 64-bit, "F" flat 32-bit, "G" other. */
  stack: AddrKind;
  /** Executing 64-bit code. */
  code64: boolean;
  /** Further selector of the semantic function: condition code, repeat prefix, immediate sub-operation. */
  sub: number;
}

/** Identity of a form. */
export function formKey(f: Form): string {
  const ops = f.ops.map((o) =>
    o.k === "reg" || o.k === "xmm" || o.k === "mm"
      ? `${o.k}${o.at}.${o.size}`
      : o.k === "gpr"
      ? `g${o.n}.${o.size}`
      : o.k === "imm"
      ? `i${o.size}`
      : `m${o.addr}${o.size}`
  );
  return `${f.name}/${f.size}/${ops.join(",")}/${f.addr}${f.stack}${f.code64 ? "q" : "d"}/${f.sub}`;
}

/** A semantic function writes one instruction's effect. It ends by itself (`next`, a jump, or leaving). */
export type Semantic = (e: import("./emit.ts").Emit, f: Form) => void;
