/**
 * The functions of Berkeley TestFloat that x86 has instructions for, each as the code of a guest that computes it.
 *
 * The code finds its first operand at [rsi], its second at [rsi+16], and leaves its result at [rsi+32]; rounding is set
 * in MXCSR and the x87 control word before it, exception flags are taken from both behind it.
 *
 * @module
 */

/** Format of a number in TestFloat's lines. */
export type Format = "f32" | "f64" | "extF80" | "i32" | "i64" | "bool";

/** Bytes of a number in guest memory. */
export const BYTES: Readonly<Record<Format, number>> = {
  f32: 4,
  f64: 8,
  extF80: 10,
  i32: 4,
  i64: 8,
  bool: 1,
};

/** One function of TestFloat. */
export interface FloatFunction {
  /** Its name there, e.g. `f32_add`. */
  name: string;
  operands: Format[];
  result: Format;
  /** Instructions in nasm's syntax. */
  code: string[];
  /** x87 precision control matters. */
  precision: boolean;
  /** Rounding to an integer reports inexactness (TestFloat's `-exact`). */
  exact: boolean;
}

type Rest = Partial<Pick<FloatFunction, "precision" | "exact">>;

function make(
  name: string,
  operands: Format[],
  result: Format,
  code: string[],
  rest: Rest = {},
): FloatFunction {
  return { name, operands, result, code, precision: false, exact: false, ...rest };
}

/** Arithmetic, conversions and comparisons of one SSE format; `s` is the letter of its scalar instructions. */
function sse(f: "f32" | "f64", s: "s" | "d"): FloatFunction[] {
  const load = `mov${s === "s" ? "ss" : "sd"} xmm0, [rsi]`,
    store = `mov${s === "s" ? "ss" : "sd"} [rsi+32], xmm0`;
  const binary = (name: string) =>
    make(`${f}_${name}`, [f, f], f, [load, `${name}s${s} xmm0, [rsi+16]`, store]);
  const truth = (name: string, ...code: string[]) =>
    make(`${f}_${name}`, [f, f], "bool", [...code, "mov [rsi+32], al"]);
  const predicate = (name: string, n: number) =>
    truth(name, load, `cmps${s} xmm0, [rsi+16], ${n}`, "movd eax, xmm0", "and eax, 1");
  const swapped = `movs${s} xmm0, [rsi+16]`; // b > a leaves CF and ZF clear, NaN or not
  return [
    ...["add", "sub", "mul", "div"].map(binary),
    make(`${f}_sqrt`, [f], f, [`sqrts${s} xmm0, [rsi]`, store]),
    make(`${f}_roundToInt`, [f], f, [`rounds${s} xmm0, [rsi], 4`, store], { exact: true }),
    make(`${f}_to_i32`, [f], "i32", [`cvts${s}2si eax, [rsi]`, "mov [rsi+32], eax"], { exact: true }),
    make(`${f}_to_i64`, [f], "i64", [`cvts${s}2si rax, [rsi]`, "mov [rsi+32], rax"], { exact: true }),
    make(`i32_to_${f}`, ["i32"], f, [`cvtsi2s${s} xmm0, dword [rsi]`, store]),
    make(`i64_to_${f}`, ["i64"], f, [`cvtsi2s${s} xmm0, qword [rsi]`, store]),
    predicate("eq", 0),
    predicate("lt", 1),
    predicate("le", 2),
    truth("eq_signaling", load, `comis${s} xmm0, [rsi+16]`, "sete al", "setnp cl", "and al, cl"),
    truth("lt_quiet", swapped, `ucomis${s} xmm0, [rsi]`, "seta al"),
    truth("le_quiet", swapped, `ucomis${s} xmm0, [rsi]`, "setae al"),
  ];
}

/** What the x87 computes; its registers are empty before and behind. */
function x87(): FloatFunction[] {
  const a = "fld tword [rsi]", b = "fld tword [rsi+16]", store = "fstp tword [rsi+32]";
  const e = "extF80", p = { precision: true };
  const truth = (name: string, compare: string, ...set: string[]) =>
    make(`${e}_${name}`, [e, e], "bool", [
      a,
      b,
      `${compare} st0, st1`,
      ...set,
      "mov [rsi+32], al",
      "fstp st0",
    ]);
  return [
    ...["add", "sub", "mul", "div"].map((n) =>
      make(`${e}_${n}`, [e, e], e, [a, b, `f${n}p st1, st0`, store], p)
    ),
    make(`${e}_sqrt`, [e], e, [a, "fsqrt", store], p),
    make(`${e}_rem`, [e, e], e, [
      b,
      a,
      ".more: fprem1",
      "fnstsw ax",
      "test ah, 4", // C2: only part of the quotient is subtracted
      "jnz .more",
      store,
      "fstp st0",
    ]),
    make(`${e}_roundToInt`, [e], e, [a, "frndint", store], { exact: true }),
    make(`${e}_to_f32`, [e], "f32", [a, "fstp dword [rsi+32]"]),
    make(`${e}_to_f64`, [e], "f64", [a, "fstp qword [rsi+32]"]),
    make(`${e}_to_i32`, [e], "i32", [a, "fistp dword [rsi+32]"], { exact: true }),
    make(`${e}_to_i64`, [e], "i64", [a, "fistp qword [rsi+32]"], { exact: true }),
    make(`f32_to_${e}`, ["f32"], e, ["fld dword [rsi]", store]),
    make(`f64_to_${e}`, ["f64"], e, ["fld qword [rsi]", store]),
    make(`i32_to_${e}`, ["i32"], e, ["fild dword [rsi]", store]),
    make(`i64_to_${e}`, ["i64"], e, ["fild qword [rsi]", store]),
    truth("eq", "fucomip", "sete al", "setnp cl", "and al, cl"),
    truth("lt", "fcomip", "seta al"),
    truth("le", "fcomip", "setae al"),
    truth("eq_signaling", "fcomip", "sete al", "setnp cl", "and al, cl"),
    truth("lt_quiet", "fucomip", "seta al"),
    truth("le_quiet", "fucomip", "setae al"),
  ];
}

/** Every function that is tested. */
export const FUNCTIONS: readonly FloatFunction[] = [
  ...sse("f32", "s"),
  ...sse("f64", "d"),
  make("f32_to_f64", ["f32"], "f64", ["cvtss2sd xmm0, [rsi]", "movsd [rsi+32], xmm0"]),
  make("f64_to_f32", ["f64"], "f32", ["cvtsd2ss xmm0, [rsi]", "movss [rsi+32], xmm0"]),
  ...x87(),
];
