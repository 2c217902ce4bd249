/**
 * Which instructions end a block, by name of their semantic function.
 *
 * @module
 */

/** Direct branches whose targets may be inside a compiled region. */
export const BRANCHES: ReadonlySet<string> = new Set(["jmp", "jcc"]);

/** Branches to computed addresses. */
export const COMPUTED: ReadonlySet<string> = new Set(["call_ind", "jmp_ind"]);

/** What ends a block and leaves its region. */
export const LEAVES: ReadonlySet<string> = new Set([
  "sys",
  "loop",
  "jcxz",
  "call",
  "call_ind",
  "jmp_ind",
  "ret",
  "iret",
  "int_n",
  "syscall",
  "sysret",
  "sysenter",
  "sysexit",
]);

/** Everything behind which no instruction of the same block may follow. */
export const ENDS_BLOCK: ReadonlySet<string> = new Set([...BRANCHES, ...LEAVES]);

/** Branches with a link slot: their records keep the target block. */
export const LINKED: ReadonlySet<string> = new Set(["jmp", "jcc", "loop", "jcxz", "call"]);
