/**
 * Conditions of breakpoints as clients send them: gdb's agent expressions, evaluated here, so that a breakpoint whose
 * condition does not hold costs no conversation. See gdb's manual, appendix "The GDB Agent Expression Mechanism".
 *
 * @module
 */

/** Longest expression in bytes, most steps of one evaluation, and deepest stack. */
export const EXPRESSION_BYTES_MAX = 2048;
const STEPS_MAX = 10_000, STACK_MAX = 100;

/** What an expression can look at. */
export interface Surroundings {
  /** A register by its number, sign- or zero-extended as it is; null when there is none. */
  register(n: number): bigint | null;
  /** Memory; null when any of it is not there. */
  memory(address: bigint, length: number): Uint8Array | null;
}

/** Thrown for an expression that cannot be evaluated: the caller takes the condition to hold, as gdb does. */
export class ExpressionError extends Error {
  override name = "ExpressionError";
}

type Binary = (a: bigint, b: bigint) => bigint;
const truth = (b: boolean) => b ? 1n : 0n;
const signed = (a: bigint) => BigInt.asIntN(64, a), unsigned = (a: bigint) => BigInt.asUintN(64, a);

/** Operations on the two topmost values: `a` was pushed first. */
const BINARY: Readonly<Record<number, Binary>> = {
  0x02: (a, b) => a + b,
  0x03: (a, b) => a - b,
  0x04: (a, b) => a * b,
  0x05: (a, b) => signed(a) / divisor(signed(b)),
  0x06: (a, b) => a / divisor(b),
  0x07: (a, b) => signed(a) % divisor(signed(b)),
  0x08: (a, b) => a % divisor(b),
  0x09: (a, b) => b > 63n ? 0n : a << b,
  0x0a: (a, b) => signed(a) >> (b > 63n ? 63n : b),
  0x0b: (a, b) => b > 63n ? 0n : a >> b,
  0x0f: (a, b) => a & b,
  0x10: (a, b) => a | b,
  0x11: (a, b) => a ^ b,
  0x13: (a, b) => truth(a === b),
  0x14: (a, b) => truth(signed(a) < signed(b)),
  0x15: (a, b) => truth(a < b),
};
/** Bytes that `ref8`, `ref16`, `ref32` and `ref64` read; bytes of the constant behind `const8` and so on. */
const REFERENCES: Readonly<Record<number, number>> = { 0x17: 1, 0x18: 2, 0x19: 4, 0x1a: 8 };
const CONSTANTS: Readonly<Record<number, number>> = { 0x22: 1, 0x23: 2, 0x24: 4, 0x25: 8 };
const Op = {
  LOG_NOT: 0x0e,
  BIT_NOT: 0x12,
  EXT: 0x16,
  IF_GOTO: 0x20,
  GOTO: 0x21,
  REG: 0x26,
  END: 0x27,
  DUP: 0x28,
  POP: 0x29,
  ZERO_EXT: 0x2a,
  SWAP: 0x2b,
  PICK: 0x32,
  ROT: 0x33,
} as const;

function divisor(b: bigint): bigint {
  if (b === 0n) throw new ExpressionError("division by zero");
  return b;
}

/** One evaluation. */
class Evaluation {
  readonly #stack: bigint[] = [];
  #at = 0;

  constructor(readonly code: Uint8Array, readonly around: Surroundings) {}

  run(): bigint {
    for (let n = 0; n < STEPS_MAX; n++) {
      const op = this.#constant(1);
      if (op === Op.END) return this.#pop();
      this.#step(op);
    }
    throw new ExpressionError("it does not end");
  }

  #step(op: number): void {
    const binary = BINARY[op];
    if (binary !== undefined) {
      const b = this.#pop(), a = this.#pop();
      this.#push(binary(a, b));
    } else if (CONSTANTS[op] !== undefined) this.#push(this.#wide(CONSTANTS[op]));
    else if (REFERENCES[op] !== undefined) this.#push(this.#reference(this.#pop(), REFERENCES[op]));
    else this.#other(op);
  }

  #other(op: number): void {
    switch (op) {
      case Op.LOG_NOT:
        return this.#push(truth(this.#pop() === 0n));
      case Op.BIT_NOT:
        return this.#push(~this.#pop());
      case Op.EXT:
        return this.#push(BigInt.asIntN(Math.min(64, this.#constant(1)), this.#pop()));
      case Op.ZERO_EXT:
        return this.#push(BigInt.asUintN(Math.min(64, this.#constant(1)), this.#pop()));
      case Op.IF_GOTO: {
        const to = this.#constant(2);
        if (this.#pop() !== 0n) this.#at = to;
        return;
      }
      case Op.GOTO:
        this.#at = this.#constant(2);
        return;
      case Op.REG: {
        const value = this.around.register(this.#constant(2));
        if (value === null) throw new ExpressionError("there is no such register");
        return this.#push(value);
      }
      case Op.DUP:
        return this.#push(this.#pick(0));
      case Op.POP:
        this.#pop();
        return;
      case Op.PICK:
        return this.#push(this.#pick(this.#constant(1)));
      default:
        this.#shuffle(op);
    }
  }

  #shuffle(op: number): void {
    const c = this.#pop(), b = this.#pop();
    if (op === Op.SWAP) {
      this.#push(c);
      return this.#push(b);
    }
    if (op !== Op.ROT) throw new ExpressionError(`operation ${op} is not one of a condition`);
    const a = this.#pop();
    for (const v of [c, a, b]) this.#push(v);
  }

  #reference(address: bigint, bytes: number): bigint {
    const memory = this.around.memory(address, bytes);
    if (memory === null) throw new ExpressionError("memory is not there");
    return memory.reduceRight((value, b) => value << 8n | BigInt(b), 0n);
  }

  #push(value: bigint): void {
    if (this.#stack.length >= STACK_MAX) throw new ExpressionError("it needs too much room");
    this.#stack.push(unsigned(value));
  }

  #pop(): bigint {
    const value = this.#stack.pop();
    if (value === undefined) throw new ExpressionError("it takes what is not there");
    return value;
  }

  #pick(depth: number): bigint {
    const value = this.#stack.at(-1 - depth);
    if (value === undefined) throw new ExpressionError("it takes what is not there");
    return value;
  }

  /** A big-endian number behind the operation. */
  #constant(bytes: number): number {
    return Number(this.#wide(bytes));
  }

  #wide(bytes: number): bigint {
    if (this.#at + bytes > this.code.length) throw new ExpressionError("it ends too early");
    let value = 0n;
    for (let i = 0; i < bytes; i++) value = value << 8n | BigInt(this.code[this.#at++]);
    return value;
  }
}

/** Evaluates an expression. @throws ExpressionError */
export function evaluate(code: Uint8Array, around: Surroundings): bigint {
  return new Evaluation(code, around).run();
}
