/**
 * What XTF tests cause on real Xen: counts of the deterministic kinds of exit.
 *
 * Measured on Xen 4.17 with AMD SVM (nested under QEMU TCG), HVM guests with HAP, by xentrace and `xenalyze --svm-mode`.
 * Yields and interrupts are left out: they depend on how fast the console drains.
 *
 * @module
 */

/** Counts of one test. */
export interface XtfCounts {
  memory_op: number;
  console_io: number;
  event_channel_op: number;
  hvm_op: number;
  /** Other hypercalls by name, sched_op left out. */
  hypercalls: Record<string, number>;
  CPUID: number;
  MSR: number;
  /** Reads of CR0 and CR4 together. */
  CR_READ: number;
  CR0_WRITE: number;
  CR4_WRITE: number;
  /** Other exits by name. */
  exits: Record<string, number>;
}

/** name, memory_op, console_io, event_channel_op, CPUID, MSR, CR0 and CR4 reads, CR4 writes, other hypercalls, other exits. */
type Line = [
  string,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  Record<string, number>?,
  Record<string, number>?,
];

const LINES: Line[] = [
  ["hvm32-cpuid", 1, 61, 61, 66, 1, 1, 0],
  ["hvm32-debug-regs", 1, 5, 5, 10, 2, 2, 0, {}, { DR0_READ: 1 }],
  ["hvm32-example", 1, 4, 4, 10, 1, 1, 0],
  ["hvm32-invlpg~hap", 1, 10, 10, 10, 1, 1, 0],
  ["hvm32-livepatch-priv-check", 1, 11, 11, 10, 1, 1, 0, { sysctl: 29 }],
  ["hvm32-lm-ts", 1, 5, 5, 10, 1, 1, 0],
  ["hvm32-msr", 1, 229, 229, 10, 16633, 1, 0],
  ["hvm32-nested-svm", 1, 4, 4, 10, 1, 1, 0],
  ["hvm32-selftest", 2, 13, 18, 10, 7, 2, 1, { grant_table_op: 2 }, { NPF: 5 }],
  ["hvm32-xsa-122", 1, 10, 10, 10, 1, 1, 0, { xen_version: 3 }],
  ["hvm32-xsa-188", 1, 4, 6, 10, 1, 1, 0],
  ["hvm32-xsa-192", 1, 5, 5, 10, 1, 1, 0, {}, { DR0_WRITE: 1 }],
  ["hvm32-xsa-239", 1, 5, 5, 10, 1, 1, 0, {}, { NPF: 40 }],
  ["hvm32-xsa-317", 1, 5, 1027, 10, 1, 1, 0],
  ["hvm32pse-cpuid", 1, 61, 61, 66, 1, 1, 1],
  ["hvm32pse-debug-regs", 1, 5, 5, 10, 2, 2, 1, {}, { DR0_READ: 1 }],
  ["hvm32pse-example", 1, 4, 4, 10, 1, 1, 1],
  ["hvm32pse-msr", 1, 229, 229, 10, 16633, 1, 1],
  ["hvm32pse-nested-svm", 1, 4, 4, 10, 1, 1, 1],
  ["hvm32pse-selftest", 2, 14, 19, 10, 7, 2, 2, { grant_table_op: 2 }, { NPF: 5 }],
  ["hvm32pse-xsa-122", 1, 10, 10, 10, 1, 1, 1, { xen_version: 3 }],
  ["hvm32pse-xsa-188", 1, 4, 6, 10, 1, 1, 1],
  ["hvm32pse-xsa-317", 1, 5, 1027, 10, 1, 1, 1],
];

/** Expected counts by test name (without "test-"). */
export const XTF_EXPECTED: ReadonlyMap<string, XtfCounts> = new Map(
  LINES.map(([name, memory, console, events, cpuid, msr, reads, cr4Writes, hypercalls, exits]) => [name, {
    memory_op: memory,
    console_io: console,
    event_channel_op: events,
    hvm_op: 4,
    hypercalls: hypercalls ?? {},
    CPUID: cpuid,
    MSR: msr,
    CR_READ: reads,
    CR0_WRITE: 1,
    CR4_WRITE: cr4Writes,
    exits: exits ?? {},
  }]),
);
