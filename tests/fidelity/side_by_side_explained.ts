/**
 * Why our machine and QEMU's TCG differ in a case of the privileged tests, from the manual.
 *
 * @module
 */

/** Cases of a guest whose difference has one reason. */
export interface Explanation {
  guest: string;
  /** Names of the cases. */
  cases: RegExp;
  why: string;
}

/** Every explanation. SDM: Intel's Software Developer's Manual. */
export const EXPLAINED: readonly Explanation[] = [
  {
    guest: "debug",
    cases: /^step: STI does not$/,
    why:
      "SDM volume 2, STI: only maskable interrupts wait for the next instruction, single-step traps do not; " +
      "TCG holds both back",
  },
  {
    guest: "debug",
    cases: /^icebp$/,
    why: "SDM volume 2, INT1: F1 raises #DB as a trap; TCG raises #UD",
  },
  {
    guest: "debug",
    cases: /^write: 2 bytes, aligned down$/,
    why:
      "SDM volume 3, 17.2.5: the address of a longer breakpoint must be aligned; ours masks the low bits, TCG does not",
  },
  {
    guest: "debug",
    cases: /^write: behind a step$/,
    why:
      "SDM volume 3, 17.3.1.2 and 6.9: a data breakpoint and a single step behind one instruction are one #DB; " +
      "TCG raises two, the first with a wrong EIP",
  },
  {
    guest: "debug",
    cases: /^write: a fault hits nothing$/,
    why: "SDM volume 2, LOCK: #UD with MOV; TCG executes it",
  },
  {
    guest: "debug",
    cases: /^access: MOV SS holds it back$/,
    why:
      "SDM volume 3, 6.8.3: debug exceptions wait for the instruction behind MOV SS; TCG raises it at once",
  },
  {
    guest: "debug",
    cases: /^general detect$/,
    why: "SDM volume 3, 17.2.4: DR7.GD makes MOV DR raise #DB with DR6.BD; TCG does not have it",
  },
  {
    guest: "paging",
    cases: /^reserved bit: /,
    why:
      "SDM volume 3, 4.7: the RSVD flag can be set only if the P flag is also set; TCG's error code for a reserved bit " +
      "has P clear",
  },
  {
    guest: "paging",
    cases: /^implicit: SMAP, a user page, AC$/,
    why:
      "SDM volume 3, 4.6.1: EFLAGS.AC lets explicit accesses of a supervisor pass SMAP, not those that the processor " +
      "makes itself, as of a descriptor table; TCG lets both pass",
  },
  {
    guest: "segments",
    cases: /lar /,
    why:
      "SDM volume 2, LAR: bits 19:16 of the result are undefined; ours are the limit's, as processors leave them, " +
      "TCG's are zero",
  },
  {
    guest: "segments",
    cases: /^call far a8$/,
    why:
      "SDM volume 2, CALL: #GP(0) when the target lies beyond the code segment's limit; TCG's error code is the selector",
  },
  {
    guest: "segments",
    cases: /^limit: (read|write) /,
    why:
      "SDM volume 3, 5.3 and 5.5: limits and types are checked at every access; TCG checks neither limits nor " +
      "whether a segment may be written",
  },
];
