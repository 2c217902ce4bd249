/**
 * Sequences of instructions that the interpreter executes with one handler: those that save most dispatches, measured
 * over boots of Debian's kernels (32- and 64-bit) and the benchmark's compute kernels, all weighted alike; and every
 * comparison of registers with the branch behind it.
 *
 * One sequence a line, one word an instruction: name and operand size, then operands in the manual's letters (`g`
 * ModRM.reg, `e` ModRM.rm as a register, `m` memory, `a` accumulator, `c` CL, `i` immediate; a number is a size that
 * differs), then what else selects the form. Branches and the stack have the mode's size; `jcc.4` stands for JE and JNE,
 * and so on. A sequence with a branch is also a loop where its block goes on with itself (`core/cpu/fuse_loop.ts`).
 *
 * @module
 */

/** The sequences, as one text. */
export const SEQUENCES = `
  add32:a,i mov32:e,g shr32:e,i8 mov32:m,g
  add32:e,g cmp32:e,i jcc.4
  add32:e,g cmp64:e,g jcc.4
  add32:e,g mov32:g,m mov32:g,m add32:e,i
  add32:e,g mov32:m,g mov32:g,m cmp32:e,g
  add32:e,g xor32:e,g mov32:e,g mov32:g,m
  add32:e,i add32:e,i movsx64:g,e32 add64:e,g
  add32:e,i add64:e,i cmp32:m,g jcc.4
  add32:e,i cmp32:e,g jcc.4
  add32:e,i lea32:g,m.32 cmp32:e,g jcc.4
  add32:e,i mov64:g,m cmp32:e,g jcc.2
  add32:e,i mov8:m,g sub32:e,i add32:e,i
  add32:e,i pop:g pop:g pop:g
  add32:g,m mov64:g,m sub32:e,i jcc.4
  add32:m,i mov32:g,m add32:m,i cmp32:m,g
  add64:e,i cmp64:e,g jcc.4
  add64:e,i cmp8:m,i jcc.4
  add64:e,i mov32:e,g pop:g pop:g
  add64:e,i mov64:e,g pop:g pop:g
  add64:e,i mov64:e,g shl64:e,i8 cmp64:e,g
  add64:e,i mov8:m,g sub64:e,i add64:e,i
  add64:e,i pop:g pop:g pop:g
  add64:e,i test8:e,g jcc.4
  and32:e,i jcc.4
  cmov64:g,e.3 mov64:e,g sub64:e,g cmp64:e,i
  cmp16:g,m jcc.4
  cmp32:a,i jcc.12
  cmp32:a,i jcc.14
  cmp32:a,i jcc.2
  cmp32:a,i jcc.4
  cmp32:a,i jcc.6
  cmp32:a,i jcc.8
  cmp32:e,g cmov32:g,e.2 cmov32:g,e.3 mov32:e,g
  cmp32:e,g jcc.12
  cmp32:e,g jcc.14
  cmp32:e,g jcc.2
  cmp32:e,g jcc.4
  cmp32:e,g jcc.6
  cmp32:e,g jcc.8
  cmp32:e,i jcc.12
  cmp32:e,i jcc.14
  cmp32:e,i jcc.2
  cmp32:e,i jcc.4
  cmp32:e,i jcc.6
  cmp32:e,i jcc.8
  cmp32:m,g jcc.4
  cmp32:m,g mov32:e,g lea32:g,m.32 jcc.2
  cmp64:a,i jcc.12
  cmp64:a,i jcc.14
  cmp64:a,i jcc.2
  cmp64:a,i jcc.4
  cmp64:a,i jcc.6
  cmp64:a,i jcc.8
  cmp64:e,g jcc.12
  cmp64:e,g jcc.14
  cmp64:e,g jcc.2
  cmp64:e,g jcc.4
  cmp64:e,g jcc.6
  cmp64:e,g jcc.8
  cmp64:e,i jcc.12
  cmp64:e,i jcc.14
  cmp64:e,i jcc.2
  cmp64:e,i jcc.4
  cmp64:e,i jcc.6
  cmp64:e,i jcc.8
  cmp8:a,i jcc.12
  cmp8:a,i jcc.14
  cmp8:a,i jcc.2
  cmp8:a,i jcc.4
  cmp8:a,i jcc.6
  cmp8:a,i jcc.8
  cmp8:e,g jcc.12
  cmp8:e,g jcc.14
  cmp8:e,g jcc.2
  cmp8:e,g jcc.4
  cmp8:e,g jcc.6
  cmp8:e,g jcc.8
  cmp8:e,i jcc.12
  cmp8:e,i jcc.14
  cmp8:e,i jcc.2
  cmp8:e,i jcc.4
  cmp8:e,i jcc.6
  cmp8:e,i jcc.8
  cmp8:m,i adc32:e,i add64:e,i cmp64:a,i
  cmp8:m,i adc32:e,i inc32:e cmp32:a,i
  cmp8:m,i adc32:e,i inc32:e cmp32:a,i jcc.4
  cmp8:m,i jcc.4
  dec32:e jcc.8
  imul232:g,e add32:e,g cmp32:e,g jcc.4
  imul232:g,e,i add64:e,i add32:a,i mov32:e,g
  imul232:g,e,i xor32:e,g sub64:e,i add32:e,i
  inc32:e mov32:e,g mov32:g,m and32:e,i
  inc32:e mov32:g,m cmp32:e,g jcc.2
  lea32:g,m.32 call
  lea32:g,m.32 cmp32:e,g mov32:g,m mov32:m,g
  lea32:g,m.32 inc32:e cmp32:e,i jcc.4
  lea32:g,m.32 lea32:g,m.32 lea32:g,m.32 lea32:g,m.32
  lea32:g,m.32 mov32:e,g
  lea32:g,m.32 mov32:g,m
  lea32:g,m.32 mov32:g,m xor32:g,m inc32:e
  lea32:g,m.32 pop:g pop:g pop:g
  lea32:g,m.32 push:g mov32:e,g mov32:e,g
  lea32:g,m.32 push:g mov32:e,g push:g
  lea32:g,m.64 add32:e,i cmp32:e,i jcc.4
  lea32:g,m.64 add64:e,i mov32:e,g pop:g
  lea32:g,m.64 add64:e,i mov32:g,m xor32:g,m
  lea32:g,m.64 mov32:m,g cmp32:e,g jcc.2
  lea64:g,m.64 cmp64:e,g jcc.2
  lea64:g,m.64 lea64:g,m.64
  lea64:g,m.64 mov64:e,g cmp64:e,g jcc.2
  lea64:g,m.64 ret
  mov32:e,g add32:e,g mov8:m,i cmp32:a,i
  mov32:e,g call
  mov32:e,g dec32:e mov32:g,m jmp
  mov32:e,g dec32:e mov32:g,m sub32:e,i
  mov32:e,g inc32:e mov32:g,m add32:e,i
  mov32:e,g inc32:e xor8:g,m shr32:e,i8
  mov32:e,g jcc.4
  mov32:e,g lea32:g,m.32 call
  mov32:e,g lea32:g,m.64 call
  mov32:e,g lea64:g,m.64 cmp32:e,g jcc.2
  mov32:e,g lea64:g,m.64 mov32:g,m cmp32:e,g
  mov32:e,g mov32:e,g
  mov32:e,g mov32:e,g call
  mov32:e,g mov32:e,g lea32:g,m.64 lea64:g,m.64
  mov32:e,g mov32:e,g mov32:e,g mov32:e,g
  mov32:e,g mov32:e,g mov32:e,g sub32:e,i
  mov32:e,g mov32:e,g sub32:e,i sub32:e,g
  mov32:e,g mov32:g,m
  mov32:e,g mov32:g,m dec32:e mov32:m,g
  mov32:e,g mov32:g,m mov32:g,m mov32:m,g
  mov32:e,g mov32:g,m mov32:m,g mov32:e,g
  mov32:e,g mov32:g,m ror32:e,i8 add32:e,g
  mov32:e,g mov64:e,g lea64:g,m.64 cmp32:e,g
  mov32:e,g movzx32:g,m8 add32:e,i test8:m,i
  mov32:e,g mul32:e xor32:e,g dec32:e
  mov32:e,g neg32:e shr64:e,c8 mov32:e,g
  mov32:e,g pop:g pop:g pop:g
  mov32:e,g push:g mov32:e,g
  mov32:e,g push:g mov32:e,g dec32:e
  mov32:e,g sbb32:e,g jcc.2
  mov32:e,g shr16:e,i8 mov32:e,g and32:e,i
  mov32:e,g shr32:e,i8 and32:e,i test32:e,g
  mov32:e,g sub32:e,g add32:e,g rol32:e,i8
  mov32:e,g sub32:e,g cmp32:g,m jcc.2
  mov32:e,g sub32:e,g mov32:e,g mov32:e,g
  mov32:e,g sub32:e,g rol32:e,i8 lea32:g,m.32
  mov32:e,g test32:e,g jcc.4
  mov32:e,g xor32:e,g
  mov32:e,g xor8:g,m add64:e,i movzx32:g,e8
  mov32:g,i add64:e,i cmp64:e,g jcc.4
  mov32:g,i mov32:g,i mov32:e,g call
  mov32:g,i mov32:g,m add32:e,i cmp32:e,g
  mov32:g,i push:g sub32:e,g push:g
  mov32:g,m add32:e,g
  mov32:g,m add32:e,i mov32:m,g jmp
  mov32:g,m add32:e,i ret
  mov32:g,m add32:m,g sub32:e,i jmp
  mov32:g,m add32:m,g sub64:e,i jmp
  mov32:g,m add64:e,i mov32:m,g jmp
  mov32:g,m cmp32:e,g jcc.2
  mov32:g,m cmp32:e,g jcc.4
  mov32:g,m cmp32:m,g jcc.4
  mov32:g,m cmp32:m,g setcc8:e.2 sub32:e,i
  mov32:g,m cmp32:m,g setcc8:e.2 sub64:e,i
  mov32:g,m imul232:g,m sub64:e,i mov32:m,g
  mov32:g,m inc32:e dec32:e mov32:m,g
  mov32:g,m lea32:g,m.32
  mov32:g,m lea32:g,m.32 cmp32:e,g lea32:g,m.32
  mov32:g,m lea32:g,m.32 mov32:e,g test32:e,g
  mov32:g,m lea32:g,m.32 mov32:m,g lea32:g,m.32
  mov32:g,m lea32:g,m.64 add32:e,g mov32:m,g
  mov32:g,m lea64:g,m.64 mov64:e,g test32:e,g
  mov32:g,m mov32:e,g
  mov32:g,m mov32:e,g cmp32:e,g jcc.2
  mov32:g,m mov32:e,g dec32:e mov32:e,g
  mov32:g,m mov32:g,m
  mov32:g,m mov32:g,m add32:e,g dec32:e
  mov32:g,m mov32:g,m add32:e,i ret
  mov32:g,m mov32:g,m lea32:g,m.32 add32:e,g
  mov32:g,m mov32:g,m mov32:g,m mov32:g,m
  mov32:g,m mov32:g,m mov32:m,g
  mov32:g,m mov32:g,m mov32:m,g dec32:e
  mov32:g,m mov32:g,m movsx32:g,m16 movsx32:g,m16
  mov32:g,m mov32:m,g
  mov32:g,m mov32:m,g add32:e,i add32:e,i
  mov32:g,m mov32:m,g add32:e,i cmp32:e,g
  mov32:g,m mov32:m,g add32:e,i cmp32:e,g jcc.4
  mov32:g,m mov32:m,g sub32:e,i cmp32:a,i
  mov32:g,m mov64:e,g cmp32:e,g jcc.2
  mov32:g,m shl64:e,i8 mov32:m,g sub32:e,i
  mov32:g,m sub32:e,i mov32:e,g mov32:g,m
  mov32:g,m sub32:e,i mov32:g,m imul232:g,e
  mov32:g,m sub32:e,i mov32:m,g jmp
  mov32:g,m sub64:e,i mov32:m,g jmp
  mov32:g,m test32:e,g jcc.14
  mov32:g,m test32:e,g jcc.4
  mov32:g,m xor32:e,g
  mov32:m,g add32:e,i cmp32:e,g jcc.2
  mov32:m,g add32:e,i jmp
  mov32:m,g add32:e,i sub32:e,i mov32:m,g
  mov32:m,g add64:e,i jmp
  mov32:m,g add64:e,i lea32:g,m.64 cmp32:e,g
  mov32:m,g inc32:e cmp32:e,i jcc.4
  mov32:m,g jcc.6
  mov32:m,g lea32:g,m.32 cmp32:e,g jcc.2
  mov32:m,g lea32:g,m.32 mov32:e,g cmp32:m,g
  mov32:m,g lea64:g,m.64 cmp64:e,g jcc.4
  mov32:m,g mov32:e,g
  mov32:m,g mov32:e,g test32:e,g jcc.4
  mov32:m,g mov32:g,m
  mov32:m,g mov32:g,m mov32:e,g dec32:e
  mov32:m,g mov32:g,m mov32:m,g mov32:m,g
  mov32:m,g mov32:m,g
  mov32:m,g mov32:m,g cmp64:e,g jcc.4
  mov32:m,g shr32:e,i8 xor32:m,g test32:e,g
  mov32:m,g sub32:g,m sbb32:g,m cmp32:e,g
  mov32:m,g xor32:e,g
  mov32:m,i add32:e,i cmp32:e,g jcc.4
  mov64:e,g call
  mov64:e,g imul264:g,e shr64:e,i8 xor32:e,g
  mov64:e,g mov32:e,g cmp32:e,g jcc.2
  mov64:e,g mov32:g,m add64:e,i add32:e,i
  mov64:e,g mov32:g,m add64:e,i and32:a,i
  mov64:e,g mov32:g,m sub64:e,i sub32:e,i
  mov64:e,g mov64:e,g
  mov64:e,g mov64:e,g call
  mov64:e,g mov64:e,g cmp64:e,g jcc.2
  mov64:e,g mov64:e,g mov64:e,g call
  mov64:e,g mov64:g,m mov64:m,g mov64:e,g
  mov64:e,g mov64:g,m sub32:e,i mov64:m,g
  mov64:e,g movsx32:g,m8 sub64:g,m mov64:e,g
  mov64:e,g movzx32:g,m8 add64:e,i test8:m,i
  mov64:e,g pop:g pop:g pop:g
  mov64:e,g sub32:e,i mov64:g,m jmp
  mov64:e,g sub64:e,g mov64:e,g shr64:e,i8
  mov64:e,g test32:e,g jcc.4
  mov64:g,m call
  mov64:g,m cmp64:e,g jcc.4
  mov64:g,m lea64:g,m.64
  mov64:g,m lea64:g,m.64 mov64:m,g mov64:m,g
  mov64:g,m mov64:e,g
  mov64:g,m mov64:e,g mov64:e,g
  mov64:g,m mov64:g,m
  mov64:g,m mov64:g,m mov64:g,m cmp64:m,g
  mov64:g,m mov64:g,m movzx32:g,m8 and32:e,i
  mov64:g,m mov64:g,m test64:e,g jcc.4
  mov64:g,m mov64:m,g add64:e,i cmp32:e,g
  mov64:g,m mov64:m,g add64:e,i cmp64:e,g jcc.4
  mov64:g,m mov64:m,g mov64:g,m mov64:m,g
  mov64:g,m test64:e,g jcc.4
  mov64:m,g jmp
  mov64:m,g mov64:e,g test32:e,g jcc.4
  mov64:m,g mov64:m,g
  mov64:m,g mov64:m,g lea64:g,m.64 jcc.2
  mov8:m,i add32:e,g cmp32:a,i jcc.6
  movsx32:g,e8 sub32:e,i cmp32:e,i jcc.6
  movsx32:g,m16 add32:e,i add32:e,i movsx32:g,m16
  movsx32:g,m16 cmp32:e,g jcc.4
  movsx32:g,m16 movsx32:g,m16 sub32:e,g ret
  movsx64:g,e32 mov32:g,m lea64:g,m.64 lea64:g,m.64
  movsx64:g,e32 shl64:e,i8 lea64:g,m.64 cmp32:e,g
  movsx64:g,m32 add64:e,g cmp64:e,g jcc.2
  movzx32:g,e8 mov32:g,m xor32:e,g cmp32:e,i
  movzx32:g,e8 mov32:m,g jmp
  movzx32:g,e8 test8:m,i jcc.4
  movzx32:g,m8 add32:e,i movzx32:g,m8 cmp8:a,i
  movzx32:g,m8 add32:e,i test8:e,g jcc.4
  movzx32:g,m8 add64:e,i
  movzx32:g,m8 add64:e,i test8:e,g jcc.4
  movzx32:g,m8 cmp8:g,m jcc.4
  movzx32:g,m8 jmp
  movzx32:g,m8 mov8:m,g add32:e,i cmp32:e,g jcc.4
  movzx32:g,m8 mov8:m,g add64:e,i cmp64:e,g jcc.4
  movzx32:g,m8 mov8:m,g inc32:e cmp32:e,g jcc.4
  movzx32:g,m8 movzx32:g,m16 lea32:g,m.32 movzx32:g,m8
  movzx32:g,m8 movzx32:g,m16 mov64:e,g add64:a,i
  movzx32:g,m8 movzx32:g,m8 add64:e,i cmp8:a,i
  movzx32:g,m8 test8:e,g jcc.4
  movzx32:g,m8 test8:e,g jcc.8
  not64:e add64:g,m cmp64:e,g cmov64:g,e.2
  pop:g jmp
  pop:g pop:g jmp
  pop:g pop:g pop:g jmp
  pop:g pop:g pop:g pop:g
  pop:g pop:g pop:g ret
  pop:g ret
  push:g lea32:g,m.64 test32:e,g jcc.4
  push:g mov32:e,g
  push:g mov32:e,g push:g
  push:g mov32:e,g push:g mov32:e,g
  push:g mov32:e,g push:g push:g
  push:g mov32:g,i push:g sub32:e,g
  push:g mov64:e,g
  push:g mov64:e,g push:g mov64:e,g
  push:g mov64:e,g push:g push:g
  push:g mov64:e,g push:g sub64:e,i
  push:g push:g
  push:g push:g mov32:e,g sub64:e,i
  push:g push:g mov64:e,g push:g
  push:g push:g push:g
  push:g push:g push:g mov64:e,g
  push:g push:g push:g push:g
  rol32:e,i8 add32:e,g add32:e,g
  rol32:e,i8 add32:e,g xor32:e,g ror32:e,i8
  rol32:e,i8 sub32:e,g add32:e,g xor32:e,g
  rol32:e,i8 xor32:e,g lea32:g,m.64 mov32:e,g
  ror32:e,i8 add32:e,g mov32:g,m add32:e,g
  ror32:e,i8 add32:e,g mov32:m,g mov32:g,m
  ror32:e,i8 add32:e,g xor32:e,g
  ror32:e,i8 mov32:m,g mov32:g,m add32:e,g
  sar64:e,i8 add64:e,g sar64:e,i8 lea64:g,m.64
  sbb32:e,g or32:e,i jmp
  sbb32:e,g or8:a,i pop:g pop:g
  shl32:e,i8 lea32:g,m.32 mov32:g,m cmp32:e,g
  shl32:e,i8 sub32:e,g movzx32:g,m8 add32:e,g
  shl64:e,c8 test32:e,g mov32:g,m cmov64:g,e.8
  shl64:e,i8 add64:a,i mov64:m,g cmp64:e,i
  shl64:e,i8 mov64:g,m movzx32:g,m8 or64:e,g
  shr32:e,i8 add32:e,g mov32:g,m add32:e,g
  shr32:e,i8 add32:e,i cmp32:e,i jcc.4
  shr32:e,i8 inc32:e cmp32:e,i jcc.4
  shr32:e,i8 xor32:g,m mov32:e,g cmp64:e,i
  shr32:e,i8 xor32:m,g test32:e,g jcc.4
  shr64:e,i8 add64:e,g movsx64:g,e32 movsx64:g,m32
  sub32:e,g cmp32:e,i jcc.6
  sub32:e,g mov32:e,g mov32:e,g mov32:e,g
  sub32:e,g xor32:e,g lea32:g,m.32 mov32:e,g
  sub32:e,i cmp32:e,i mov32:m,g mov32:e,g
  sub32:e,i jcc.4
  sub32:e,i mov32:e,g mov32:m,g mov32:m,g
  sub32:e,i test32:e,g mov32:m,g lea32:g,m.32
  sub64:e,i mov64:g,m mov64:g,m mov64:g,m
  sub64:e,i test32:e,g jcc.4
  test32:a,i jcc.12
  test32:a,i jcc.14
  test32:a,i jcc.2
  test32:a,i jcc.4
  test32:a,i jcc.6
  test32:a,i jcc.8
  test32:e,g jcc.12
  test32:e,g jcc.14
  test32:e,g jcc.2
  test32:e,g jcc.4
  test32:e,g jcc.6
  test32:e,g jcc.8
  test32:e,i jcc.12
  test32:e,i jcc.14
  test32:e,i jcc.2
  test32:e,i jcc.4
  test32:e,i jcc.6
  test32:e,i jcc.8
  test64:a,i jcc.12
  test64:a,i jcc.14
  test64:a,i jcc.2
  test64:a,i jcc.4
  test64:a,i jcc.6
  test64:a,i jcc.8
  test64:e,g jcc.12
  test64:e,g jcc.14
  test64:e,g jcc.2
  test64:e,g jcc.4
  test64:e,g jcc.6
  test64:e,g jcc.8
  test64:e,i jcc.12
  test64:e,i jcc.14
  test64:e,i jcc.2
  test64:e,i jcc.4
  test64:e,i jcc.6
  test64:e,i jcc.8
  test8:a,i jcc.12
  test8:a,i jcc.14
  test8:a,i jcc.2
  test8:a,i jcc.4
  test8:a,i jcc.6
  test8:a,i jcc.8
  test8:e,g jcc.12
  test8:e,g jcc.14
  test8:e,g jcc.2
  test8:e,g jcc.4
  test8:e,g jcc.6
  test8:e,g jcc.8
  test8:e,i jcc.12
  test8:e,i jcc.14
  test8:e,i jcc.2
  test8:e,i jcc.4
  test8:e,i jcc.6
  test8:e,i jcc.8
  test8:m,i jcc.4
  xor16:e,i test16:e,g cmov32:g,e.5 sub32:e,i
  xor32:e,g jmp
  xor32:e,g lea32:g,m.64 mov32:e,g sub32:e,g
  xor32:e,g mov32:e,g mov32:e,g rol32:e,i8
  xor32:e,g mov32:e,g sub32:e,g rol32:e,i8
  xor32:e,g mov32:g,i
  xor32:e,g mov32:m,g
  xor32:e,g pop:g pop:g jmp
`;
