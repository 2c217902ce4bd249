/**
 * The tables that re-execution computes, as SQL names them: `memory_writes(...)`, `instructions(...)`, ...
 *
 * @module
 */

/** A parameter, in order. */
export interface Parameter {
  name: string;
  /** "address": a number or a symbol's name. */
  kind: "address" | "count" | "flag";
  /** What it is when left out; null: it must be given; "end": the recording's end. */
  otherwise: bigint | boolean | "end" | "any" | null;
}

/** A table that can be computed. */
export interface ReplayFunction {
  name: string;
  parameters: readonly Parameter[];
  /** One line: what it answers. */
  summary: string;
  /** Column names in order, with their meanings. */
  columns: readonly { name: string; meaning: string }[];
  /** Selects the columns from the computed table `r`, its codes `c` and functions by address `p` and `q`. */
  select: string;
}

const FROM: Parameter = { name: "from", kind: "count", otherwise: 0n };
const TO: Parameter = { name: "to", kind: "count", otherwise: "end" };
const PHYSICAL: Parameter = { name: "physical", kind: "flag", otherwise: false };
const ADDRESS: Parameter = { name: "address", kind: "address", otherwise: "any" };
const BYTES: Parameter = { name: "bytes", kind: "count", otherwise: 8n };

const WHERE = [
  { name: "icount", meaning: "instructions retired before it" },
  { name: "vcpu", meaning: "virtual processor" },
  { name: "rip", meaning: "the instruction; for an event or the hypervisor, where the guest stood" },
  { name: "function", meaning: "name of the function around rip; null: no symbol covers it" },
];
const ACCESS = [
  ...WHERE,
  {
    name: "source",
    meaning: "cpu, event (frames of interrupts and exceptions), walk (A and D flags), xen or input",
  },
  { name: "address", meaning: "linear address; null where there was none" },
  { name: "gpa", meaning: "guest-physical address" },
  { name: "size", meaning: "bytes, at most 8; wider accesses have several rows" },
  { name: "value", meaning: "what was read or written, little-endian" },
];
const ACCESS_SELECT = `r.icount, r.vcpu, r.rip, p.function,
  ['cpu', 'event', 'walk', 'xen', 'input'][r.source + 1] AS source,
  CASE WHEN r.source < 2 THEN r.address END AS address, r.gpa, r.size, r.value`;
const TRANSFER = [
  ...WHERE,
  { name: "kind", meaning: "call, call_ind, ret, jmp, jcc, syscall, iret, interrupt, exception, ..." },
  { name: "target", meaning: "where it leads" },
  { name: "target_function", meaning: "name of the function there" },
];
const TRANSFER_SELECT =
  "r.icount, r.vcpu, r.rip, p.function, c.text AS kind, r.target, q.function AS target_function";
const VECTOR = { name: "vector", meaning: "of interrupts and exceptions; else null" };
const VECTOR_SELECT = "CASE WHEN r.vector < 256 THEN r.vector END AS vector";

/** All of them. */
export const REPLAY_FUNCTIONS: readonly ReplayFunction[] = [
  {
    name: "memory_writes",
    parameters: [ADDRESS, BYTES, FROM, TO, PHYSICAL],
    summary: "every write to memory: of some bytes, or (left out) of any",
    columns: ACCESS,
    select: ACCESS_SELECT,
  },
  {
    name: "memory_reads",
    parameters: [ADDRESS, BYTES, FROM, TO, PHYSICAL],
    summary: "every read of memory by the guest's instructions and events",
    columns: ACCESS,
    select: ACCESS_SELECT,
  },
  {
    name: "last_write",
    parameters: [
      { ...ADDRESS, otherwise: null },
      { name: "before", kind: "count", otherwise: "end" },
      { ...BYTES, otherwise: 1n },
      PHYSICAL,
    ],
    summary: "the last write to some bytes before an icount, looked for backwards",
    columns: ACCESS,
    select: ACCESS_SELECT,
  },
  {
    name: "instructions",
    parameters: [FROM, TO],
    summary: "the instructions that retired; a repeated string instruction is one row",
    columns: [...WHERE, { name: "code", meaning: "its bytes" }, { name: "text", meaning: "disassembled" }],
    select:
      "r.icount, r.vcpu, r.rip, p.function, split_part(c.text, ':', 1) AS code, c.text[strpos(c.text, ':') + 1:] AS text",
  },
  {
    name: "calls",
    parameters: [FROM, TO],
    summary: "calls, returns, interrupts and exceptions, with registers behind them",
    columns: [
      ...TRANSFER,
      VECTOR,
      ...["rsp", "rdi", "rsi", "rdx"].map((name) => ({ name, meaning: "register" })),
    ],
    select: `${TRANSFER_SELECT}, ${VECTOR_SELECT}, r.rsp, r.rdi, r.rsi, r.rdx`,
  },
  {
    name: "branches",
    parameters: [FROM, TO],
    summary: "every transfer of control, taken or not",
    columns: [...TRANSFER, { name: "taken", meaning: "false: it went on behind itself" }, VECTOR],
    select: `${TRANSFER_SELECT}, r.taken = 1 AS taken, ${VECTOR_SELECT}`,
  },
  {
    name: "registers",
    parameters: [{ name: "at", kind: "count", otherwise: null }],
    summary: "registers of every vCPU at an icount",
    columns: [
      { name: "icount", meaning: "the place" },
      { name: "vcpu", meaning: "virtual processor" },
      { name: "running", meaning: "it is the one that executes next" },
      { name: "function", meaning: "name of the function around rip" },
      ...["rip", "rflags", "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"].map((name) => ({
        name,
        meaning: "register",
      })),
      ...["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cr0", "cr2", "cr3", "cr4", "efer"].map((
        name,
      ) => ({ name, meaning: "register" })),
      ...["cs", "ss", "ds", "es", "fs", "gs"].map((name) => ({ name, meaning: "selector" })),
      ...["fs_base", "gs_base", "kernel_gs_base"].map((name) => ({ name, meaning: "address" })),
    ],
    select: "r.icount, r.vcpu, r.running = 1 AS running, p.function, r.* EXCLUDE (icount, vcpu, running)",
  },
];

/** How one is used: `memory_writes(address, bytes := 8, ...)`. */
export function signatureOf(f: ReplayFunction): string {
  const parameters = f.parameters.map((p) =>
    p.otherwise === null || typeof p.otherwise === "string" ? p.name : `${p.name} := ${p.otherwise}`
  );
  return `${f.name}(${parameters.join(", ")})`;
}
