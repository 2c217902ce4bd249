import { assertEquals, assertStringIncludes } from "@std/assert";
import { Table, tableToIPC, Uint64, vectorFromArray } from "apache-arrow";
import { functionTime } from "../analysis/sections.ts";
import { type Row, Session } from "../analysis/session.ts";
import { encodeTable, EXITS, FixtureSource, HYPERCALLS } from "./analysis_fixture.ts";

const HIGH = 0xffff_ffff_8000_0000n;

/** Two small functions that exit, those that call them, and one whose last instruction is a call. */
const SYMBOLS = [
  { start: 0x1000, size: 0x10, name: "cpuid", module: "kernel", source: "kallsyms" },
  { start: 0x2000, size: 0x10, name: "hypercall", module: "kernel", source: "kallsyms" },
  { start: HIGH, size: 0x100, name: "probe", module: "kernel", source: "kallsyms" },
  { start: HIGH + 0x100n, size: 0x100, name: "next", module: "kernel", source: "kallsyms" },
  { start: HIGH + 0x200n, size: 0x100, name: "start_kernel", module: "kernel", source: "kallsyms" },
];

/** Samples every 50 instructions, and those that exits 1, 8 and 9 of the fixture would have. */
const SAMPLES = [
  // In `cpuid`, called at the very end of `probe`, called by `start_kernel`.
  { icount: 50, vcpu: 0, rip: 0x1004, cpl: 0, stack: [HIGH + 0x100n, HIGH + 0x210n] },
  { icount: 100, vcpu: 0, rip: HIGH + 0x20n, cpl: 0, stack: [HIGH + 0x210n] },
  { icount: 108, vcpu: 0, rip: 0x1000, cpl: 0, stack: [HIGH + 0x100n, HIGH + 0x210n] },
  // Recursion counts once in what a function and its callees take.
  { icount: 150, vcpu: 0, rip: HIGH + 0x210n, cpl: 0, stack: [HIGH + 0x210n, HIGH + 0x220n] },
  { icount: 200, vcpu: 0, rip: 0x40_0000, cpl: 3, stack: [] },
  { icount: 700, vcpu: 0, rip: 0x2000, cpl: 0, stack: [HIGH + 0x104n, HIGH + 0x210n] },
  // Another vCPU's, and another place's: not those of the exit at icount 800.
  { icount: 801, vcpu: 0, rip: 0x2000, cpl: 0, stack: [HIGH + 0x210n] },
].map((s) => ({ cr3: 0, ...s }));

/** The table that says how often samples were taken. */
function recordingTable(interval: bigint): Uint8Array {
  return tableToIPC(new Table({ sample_interval: vectorFromArray([interval], new Uint64()) }), "stream");
}

const session = await Session.open(
  new FixtureSource({
    exits: [encodeTable("exits", EXITS)],
    hypercalls: [encodeTable("hypercalls", HYPERCALLS)],
    symbols: [encodeTable("symbols", SYMBOLS)],
    samples: [encodeTable("samples", SAMPLES)],
    recording: [recordingTable(50n)],
  }),
);

function rows(sql: string): unknown[][] {
  return session.records(sql).map((r: Row) =>
    Object.values(r).map((v) => typeof v === "bigint" && v < 2n ** 53n ? Number(v) : v)
  );
}

Deno.test("pc_samples leaves out the samples that were taken at exits", () => {
  // 700 is a multiple of the interval: a regular sample that serves the exit there as well.
  assertEquals(rows("SELECT icount FROM pc_samples ORDER BY icount"), [[50], [100], [150], [200], [700]]);
});

Deno.test("sample_frames names the function of a call that is a function's last instruction", () => {
  assertEquals(rows("SELECT depth, function FROM sample_frames WHERE icount = 50 ORDER BY depth"), [
    [0, "cpuid"],
    [1, "probe"],
    [2, "start_kernel"],
  ]);
});

Deno.test("function_time counts samples in a function, and once each with all it called", () => {
  assertEquals(rows("SELECT * FROM function_time"), [
    ["start_kernel", 1, 20, 4, 80],
    ["probe", 1, 20, 2, 40],
    ["[user]", 1, 20, 1, 20],
    ["cpuid", 1, 20, 1, 20],
    ["hypercall", 1, 20, 1, 20],
    ["next", 0, 0, 1, 20],
  ]);
});

Deno.test("exit_callers joins an exit with the stack sampled at it, and with no other", () => {
  assertEquals(
    rows(
      "SELECT seq, function, caller, caller_address FROM exit_callers WHERE seq IN (0, 1, 8, 9) ORDER BY seq",
    ),
    [
      // Sampled elsewhere at the same icount, sampled at an exit, sampled on time, not sampled.
      [0, "cpuid", null, null],
      [1, "cpuid", "probe", HIGH + 0x100n],
      [8, "hypercall", "next", HIGH + 0x104n],
      [9, "hypercall", null, null],
    ],
  );
  assertEquals(rows("SELECT count(*) FROM exit_callers"), [[EXITS.length]]);
});

Deno.test("caller_exits and hypercall_callers say by whom, and how that is known", () => {
  assertEquals(
    rows("SELECT * FROM caller_exits WHERE function IN ('cpuid', 'hypercall') AND caller IS NOT NULL"),
    [
      ["cpuid", "probe", "VMEXIT_CPUID", 1, 5.26],
      ["hypercall", "next", "VMEXIT_VMMCALL", 1, 5.26],
    ],
  );
  assertEquals(rows("SELECT * FROM hypercall_callers ORDER BY ALL"), [
    ["hypercall", "rip", "console_io", "write", 1],
    ["hypercall", "rip", "hvm_op", "get_param", 1],
    ["hypercall", "rip", "multicall", null, 1],
    ["next", "stack", "console_io", "write", 1],
  ]);
});

Deno.test("functions are printed with their shares, user code as such", () => {
  const lines = functionTime.render(session.records(functionTime.sql));
  assertStringIncludes(lines[0], "start_kernel");
  assertStringIncludes(lines[0].replace(/ +/g, " "), "20.00% self 80.00% with callees 4 samples");
  assertStringIncludes(lines.join("\n"), "[user]");
});
