/**
 * Where everything that generated code touches lives inside the one `WebAssembly.Memory`.
 *
 * Every constant is a byte offset into that memory unless its name says otherwise. The active vCPU's state is
 * always at offset 0, so that generated code addresses it with constants; vCPUs are swapped in and out by copy.
 *
 * @module
 */

/** General registers RAX..R15, 8 bytes each, in encoding order. */
export const GPR = 0x000;
/** A register that always reads 0: stands for "no base" and "no index". */
export const ZERO = 0x080;
/** Instruction pointer, i64. Only exact while no generated code is running. */
export const RIP = 0x088;
/** Lazy flags: sign-extended result of the last flag-setting operation, i64. See `core/cpu/flags.ts`. */
export const LF_RES = 0x090;
/** Lazy flags: auxiliary word, i32. See `core/cpu/flags.ts`. */
export const LF_AUX = 0x098;
/** RFLAGS without the six arithmetic flags (so: reserved bit 1, TF, IF, DF, IOPL, NT, RF, VM, AC, ...), i32. */
export const FLAGS = 0x09c;
/** Why generated code returned: one of the `Leave` values, i32. */
export const LEAVE = 0x0a0;
/** Record pointer at which generated code returned, i32. */
export const LEAVE_REC = 0x0a4;
/** Instruction budget left when generated code returned, i32. */
export const BUDGET = 0x0a8;
/** Address of the TLB set in use (depends on CPL and SMAP), i32. */
export const TLB_BASE = 0x0ac;
/** Pending fault: vector, i32. */
export const FAULT_VECTOR = 0x0b0;
/** Pending fault: error code, i32 (only meaningful for vectors that push one). */
export const FAULT_ERROR = 0x0b4;
/** Pending page fault: linear address, i64. */
export const FAULT_ADDR = 0x0b8;
/** Scratch: linear address handed to the memory slow path, i64. */
export const SLOW_ADDR = 0x0c0;
/** Address of the jump cache in use (depends on CPL), i32. */
export const JC_BASE = 0x0c8;
/** Identity of the current decoding mode, i32 (see `core/cpu/mode.ts`). */
export const MODE = 0x0cc;
/** Slot (address of a u32) that the dispatcher may patch with the resolved record of a direct jump, i32. */
export const LINK_SLOT = 0x0d0;
/** Current privilege level, i32. */
export const CPL = 0x0d4;
/** What the next instruction boundary inhibits: `STI_SHADOW`, `STACK_SHADOW` (`core/cpu/core.ts`) or 0, i32. */
export const INT_SHADOW = 0x0d8;
/** 1 while the instruction in hand may touch MMIO or rewrite code (it is alone in its block), i32. */
export const ALONE = 0x0dc;
/** Scratch data for slow memory accesses, 64 bytes. */
export const SLOW_DATA = 0x0e0;

/** Segment registers: ES, CS, SS, DS, FS, GS, LDTR, TR; 32 bytes each. */
export const SEG = 0x120;
/** Bytes per segment register. */
export const SEG_SIZE = 32;
/** Inside a segment register: base i64, limit u32 (bytes, scaled), attributes u32, selector u32. */
export const SEG_BASE = 0, SEG_LIMIT = 8, SEG_ATTR = 12, SEG_SEL = 16;

/** Control registers, i64 each. */
export const CR0 = 0x240, CR2 = 0x248, CR3 = 0x250, CR4 = 0x258, CR8 = 0x260;
/** EFER and XCR0, i64 each. */
export const EFER = 0x268, XCR0 = 0x270;
/** Descriptor table registers: base i64 then limit u32. */
export const GDTR = 0x278, IDTR = 0x288;
/** Debug registers DR0..DR7, i64 each. */
export const DR = 0x298;
/** Model-specific registers the core itself needs, i64 each. */
export const MSR_STAR = 0x2d8, MSR_LSTAR = 0x2e0, MSR_CSTAR = 0x2e8, MSR_SFMASK = 0x2f0;
export const MSR_KERNEL_GS_BASE = 0x2f8, MSR_SYSENTER_CS = 0x300, MSR_SYSENTER_ESP = 0x308;
export const MSR_SYSENTER_EIP = 0x310, MSR_TSC_AUX = 0x318, MSR_PAT = 0x320, MSR_DEBUGCTL = 0x328;
/** PAE paging: the four page-directory-pointer entries as loaded by the last write of CR3, i64 each. */
export const PDPTE = 0x330;

/** 1: PUSHF is intercepted, so generated code leaves it to the system operation, i32. Configuration, not guest state. */
export const PUSHF_EXITS = 0x350;

/** DR6 bits of breakpoints that MOV SS or POP SS holds back until the next instruction has run, u32. */
export const HELD_BREAKPOINTS = 0x354;

/** XMM0..XMM15, 16 bytes each. */
export const XMM = 0x400;
/** MXCSR, i32. */
export const MXCSR = 0x500;
/** x87: eight physical registers of 16 bytes (10 used). */
export const FPR = 0x510;
/** x87: control word, status word (TOP included), tag word (full, 2 bits each), last opcode; u32 each. */
export const FCW = 0x590, FSW = 0x594, FTW = 0x598, FOP = 0x59c;
/** x87: last instruction and data pointers, i64 each, and their selectors, u32 each. */
export const FIP = 0x5a0, FDP = 0x5a8, FCS = 0x5b0, FDS = 0x5b4;
/** Scratch for x87 and SSE helpers, 64 bytes. */
export const FP_SCRATCH = 0x5c0;

/** What is added to the virtual time-stamp counter, i64 (the others of its MSRs follow: `core/cpu/msr.ts`). */
export const TSC_OFFSET = 0x600;

/** Size of the architectural state of one vCPU (saved, restored and hashed as a block). */
export const STATE_SIZE = 0x800;

/**
 * Outside the architectural state, for instrumented code: which guest pages the bytes in `SLOW_DATA` belong to (-1: none
 * that is memory), i32 each.
 */
export const SLOW_PAGE_A = 0x800, SLOW_PAGE_B = 0x804;

/**
 * Words about the running processor that are not guest state: never saved, never hashed.
 *
 * What may concern the dispatcher at an instruction boundary, `Waiting` bits (`core/cpu/core.ts`), i32.
 */
export const WAITING = 0x1000;
/** Instructions with an intercept point that nobody intercepts, `Direct` bits (`core/cpu/core.ts`), i32. */
export const DIRECT = 0x1004;
/** Instruction count at which the budget now running is used up, f64. */
export const HORIZON = 0x1008;
/** Virtual time: nanoseconds that passed without instructions, nanoseconds per instruction, TSC cycles per nanosecond; f64. */
export const CLOCK_SKIPPED = 0x1010, CLOCK_NS = 0x1018, CLOCK_TSC = 0x1020;

/** Number of entries in one TLB set. */
export const TLB_ENTRIES = 4096;
/**
 * Bytes per TLB entry: read tag i64, write tag i64, 8 bytes unused (all ones: execution has its own translations,
 * `core/mmu/exec_tlb.ts`), addend i32, physical page u32.
 */
export const TLB_ENTRY_SIZE = 32;
export const TLB_READ = 0, TLB_WRITE = 8, TLB_EXEC = 16, TLB_ADDEND = 24, TLB_PHYS = 28;
/**
 * TLB sets: supervisor, user, supervisor with EFLAGS.AC (SMAP suspended), user with alignment checking (never filled:
 * every access takes the slow path, which checks).
 */
export const TLB = 0x10000;
export const TLB_SET_SIZE = TLB_ENTRIES * TLB_ENTRY_SIZE;
export const TLB_SETS = 4;

/** Jump caches (supervisor, user): entries of 16 bytes: linear RIP i64, record u32, mode u32. */
export const JUMP_CACHE = TLB + TLB_SETS * TLB_SET_SIZE;
export const JUMP_CACHE_ENTRIES = 65536;
export const JUMP_CACHE_SIZE = JUMP_CACHE_ENTRIES * 16;

/** Decoded instruction records. */
export const CODE = 0x0030_0000;
export const CODE_SIZE = 0x02f0_0000;

/** Guest-physical memory backing starts here; page-aligned. */
export const RAM = 0x0320_0000;
