/**
 * The instructions executed in TypeScript ("system operations"): rare or complicated ones. The decoder puts an
 * operation's number into `REC.OP`; the dispatcher calls the function registered under its name.
 *
 * Each runs with `s.rip` already at the next instruction. A thrown `GuestFault` restores RIP to the instruction's
 * start and is delivered; so an operation must raise before it changes state.
 *
 * @module
 */

/** Names of system operations; a number is an index into this list. Append only at the end. */
export const SYS_OPS = [
  // Control transfer (transfer.ts): far branches, interrupts, returns, fast system calls.
  "jmp_far_ptr", // EA: imm = offset, immHi = selector
  "call_far_ptr", // 9A: likewise
  "jmp_far_mem", // FF /5: offset (opsize) then selector in memory
  "call_far_mem", // FF /3
  "ret_far", // CB, CA: imm = bytes to release
  "iret", // CF
  "int_n", // CD: imm = vector
  "int3", // CC
  "into", // CE
  "icebp", // F1
  "syscall", // 0F 05
  "sysret", // 0F 07
  "sysenter", // 0F 34
  "sysexit", // 0F 35
  // Segment registers (segments.ts)
  "mov_to_sreg", // 8E: reg = segment number (ModRM.reg), r/m = source
  "mov_from_sreg", // 8C
  "push_sreg", // imm = segment number
  "pop_sreg", // imm = segment number
  "load_far_ptr", // LES LDS LSS LFS LGS: imm = segment number, reg = destination, memory source
  "lar", // 0F 02
  "lsl", // 0F 03
  "verr", // 0F 00 /4
  "verw", // 0F 00 /5
  "arpl", // 63 outside long mode
  "sldt", // 0F 00 /0
  "str", // 0F 00 /1
  "lldt", // 0F 00 /2
  "ltr", // 0F 00 /3
  "sgdt", // 0F 01 /0
  "sidt", // 0F 01 /1
  "lgdt", // 0F 01 /2
  "lidt", // 0F 01 /3
  "swapgs", // 0F 01 F8
  "rdfsgsbase", // F3 0F AE /0 /1: imm = 4 (FS) or 5 (GS), rm = register
  "wrfsgsbase", // F3 0F AE /2 /3
  // Control (control.ts)
  "smsw", // 0F 01 /4
  "lmsw", // 0F 01 /6
  "clts", // 0F 06
  "mov_from_cr", // 0F 20: reg = CR number (0-15), rm = register
  "mov_to_cr", // 0F 22
  "mov_from_dr", // 0F 21
  "mov_to_dr", // 0F 23
  "invlpg", // 0F 01 /7
  "invd", // 0F 08
  "wbinvd", // 0F 09
  "rdmsr", // 0F 32
  "wrmsr", // 0F 30
  "rdtsc", // 0F 31
  "rdtscp", // 0F 01 F9
  "rdpmc", // 0F 33
  "cpuid", // 0F A2
  "hlt", // F4
  "pause", // F3 90
  "monitor", // 0F 01 C8
  "mwait", // 0F 01 C9
  "xgetbv", // 0F 01 D0
  "xsetbv", // 0F 01 D1
  "vmcall", // 0F 01 C1
  "vmmcall", // 0F 01 D9
  "svm_op", // VMRUN, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, INVLPGA (0F 01 D8, DA-DF): imm = ModRM byte
  "cli", // FA
  "sti", // FB
  "pushf", // 9C
  "popf", // 9D
  "clac", // 0F 01 CA
  "stac", // 0F 01 CB
  // Ports (ports.ts)
  "in_imm", // E4 E5: imm = port
  "in_dx", // EC ED
  "out_imm", // E6 E7
  "out_dx", // EE EF
  "ins", // 6C 6D: one iteration each call when under REP
  "outs", // 6E 6F
  // Odd ones (misc.ts)
  "enter", // C8: imm = frame bytes, immHi = nesting level
  "bound", // 62
  "div64", // F7 /6 with 64-bit operands: RDX:RAX / r/m
  "idiv64", // F7 /7
  "ud", // 0F 0B, 0F B9, 0F FF and every undefined encoding
  "unimplemented", // decoded but not built: imm = index into the decoder's list of names
  "cmpxchg16b",
  "rdrand", // 0F C7 /6; imm = 6
  "rdseed", // 0F C7 /7; imm = 7
  // x87 and its state (x87/)
  "x87", // D8-DF: imm = opcode byte | ModRM byte << 8; memory operand by computeEa()
  "fwait", // 9B
  "fxsave", // 0F AE /0 (opsize 8: FXSAVE64)
  "fxrstor", // 0F AE /1
  "ldmxcsr", // 0F AE /2
  "stmxcsr", // 0F AE /3
  "xsave", // 0F AE /4; imm = 0; XSAVEOPT (/6) imm = 1; XSAVEC (0F C7 /4) imm = 2; XSAVES (0F C7 /5) imm = 3
  "xrstor", // 0F AE /5; XRSTORS (0F C7 /3) imm = 3
  "emms", // 0F 77
  "pkru", // 0F 01 EE/EF RDPKRU/WRPKRU
  "invpcid", // 66 0F 38 82
  "sse_fp", // SSE arithmetic done in TypeScript: immHi = opcode | prefix << 8 | map << 12, imm = immediate byte
  "wbnoinvd",
  "vector_off", // an MMX (imm 0) or SSE (imm 1) instruction while CR0.EM, CR0.TS or CR4.OSFXSR forbids it
] as const;

/** Name of a system operation. */
export type SysOpName = typeof SYS_OPS[number];

/** What a system operation does; see the module comment for RIP and faults. */
export type SysOp = (c: import("../core.ts").Core, i: import("../insn.ts").Insn) => void;

/** A group of system operations, as each file of this folder exports it. */
export type SysOpTable = Partial<Record<SysOpName, SysOp>>;
