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
  /** Holds the two lines against the reason where it says exactly what TCG's must be; left out: any will do. */
  fits?: (ours: string, qemu: string) => boolean;
}

/** Page-fault error code bits: present, reserved bit. */
const P = 1, RSVD = 8;

/** What TCG prints for a line of `paging.asm`: each access is "." or "a" plus an error code, which has P clear beside RSVD. */
function withoutPresent(ours: string): string {
  if (!ours.startsWith("a=")) return ours;
  return "a=" + ours.slice(2).replace(/[a-\x80]/g, (letter) => {
    const code = letter.charCodeAt(0) - 97;
    return String.fromCharCode(97 + (code & RSVD ? code & ~P : code));
  });
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
    cases: /^step: REP STOSB/,
    why:
      "SDM volume 2, REP, and volume 3, 17.3.1.2: a trap behind each iteration, the last of which ends the instruction; " +
      "TCG in virtual time comes back once more to find the count 0",
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
    fits: (ours, qemu) => withoutPresent(ours) === qemu,
  },
  {
    guest: "paging",
    cases: /^implicit: SMAP, a user page, AC$/,
    why:
      "SDM volume 3, 4.6.1: EFLAGS.AC lets explicit accesses of a supervisor pass SMAP, not those that the processor " +
      "makes itself, as of a descriptor table; TCG lets both pass",
  },
  {
    guest: "interrupts",
    cases: /^pic: (edge, masked: IRR|an edge that has gone)/,
    why:
      "8259A datasheet, interrupt sequence: an IR input must stay high until the first INTA, a request that goes low " +
      "before is withdrawn; TCG's keeps the edge",
  },
  {
    guest: "interrupts",
    cases: /^pit: (status of counter 2, gate (low|high), mode [1245]|null count)/,
    why:
      "8254 datasheet, read-back command and mode definitions: null count is set until a count is loaded (modes 1 and 5: " +
      "by the trigger), OUT is high at first in modes 1 to 5; TCG tells no null count and computes OUT as if counting",
  },
  {
    guest: "interrupts",
    cases: /^lapic: LVT /,
    why:
      "SDM volume 3, 10.5.1: delivery status, remote IRR and the reserved bits of an LVT entry are not written; TCG " +
      "keeps any bit. LINT1 (8400) is as QEMU's firmware left it",
  },
  {
    guest: "interrupts",
    cases: /^lapic: SVR$/,
    why:
      "SDM volume 3, figure 10-23: bit 9, focus processor checking, is a bit of the register; TCG drops it",
  },
  {
    guest: "interrupts",
    cases: /^lapic: software disabled/,
    why: "SDM volume 3, 10.4.7.2: software disabling sets every LVT entry's mask, which cannot be cleared " +
      "then; TCG does neither",
  },
  {
    guest: "interrupts",
    cases: /^lapic: (illegal vector sent|error interrupt)$/,
    why:
      "SDM volume 3, 10.5.3: vectors 0 to 15 are illegal, an IPI with one is not delivered but noted in the ESR; TCG " +
      "delivers it and notes nothing",
  },
  {
    guest: "interrupts",
    cases: /^ioapic: an entry reads back$/,
    why: "82093AA datasheet, 3.2.4: bits 17 to 55 of an entry are reserved; TCG keeps them",
  },
  {
    guest: "tasks",
    cases: /EFLAGS/,
    why:
      "SDM volume 3, 7.3: a task switch saves and loads EFLAGS as they are; TCG's arithmetic flags are those of an " +
      "instruction before",
  },
  {
    guest: "tasks",
    cases: /^new TSS: SS absent$/,
    why: "SDM volume 3, table 7-1: a stack segment that is not present is #SS; TCG raises #NP",
  },
  {
    guest: "tasks",
    cases: /^new TSS: DS 0$/,
    why: "SDM volume 3, 3.4.2: an access through a null segment is #GP(0); TCG lets it pass",
  },
  {
    guest: "tasks",
    cases: /^new TSS: T bit$/,
    why: "SDM volume 3, 17.3.1.5: the T bit of the new TSS raises #DB with DR6.BT; TCG does not have it",
  },
  {
    guest: "tasks",
    cases: /^new TSS: DR7's local enables$/,
    why:
      "Intel386 Programmer's Reference Manual, 12.2.2: a task switch clears the local enables; ours clears LE with L0 to " +
      "L3, TCG leaves LE, which does nothing on newer processors",
  },
  {
    guest: "real",
    cases: /^real: (a word across|POP across|a dword across|a 32-bit address beyond)/,
    why:
      "SDM volume 3, 20.1.1 and 6.15 (interrupts 12, 13): an access beyond the segment's limit is #SS or #GP in real mode, " +
      "too; TCG checks no limits",
  },
  {
    guest: "real",
    cases: /^real: LOCK MOV$/,
    why: "SDM volume 2, LOCK: #UD with MOV; TCG executes it",
  },
  {
    guest: "real",
    cases: /^real: A20 closed$/,
    why: "ours has no A20 gate (docs/fidelity.md), TCG's has one",
  },
  {
    guest: "real",
    cases: /^translations: PCID is not there$/,
    why:
      "SDM volume 3, 4.10.1: CR4.PCIDE needs CPUID.PCID, and may be set in IA-32e mode only; TCG takes it here",
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
