import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { quoted, report } from "../analysis/report.ts";
import { Session } from "../analysis/session.ts";
import type { TraceSummary } from "../analysis/summary.ts";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { encodeTable, EXITS, fixture, FixtureSource, SYMBOLS } from "./analysis_fixture.ts";

const SUMMARY: TraceSummary = {
  guest: "evil\x1b]0;title\x07",
  label: null,
  outcome: "poweroff",
  outcome_message: "The guest powered off.",
  icount: 1300,
  time_ns: 5999,
  exits: 19,
  hypercalls: 4,
  inputs: 1,
  state_hash: null,
  state_icount: null,
  recovered: false,
  version: 1,
  retrovisor: "0.1.0",
  config: { ...DEFAULT_CONFIG, cmdline: "a\nb" },
  images: [],
  tables: [],
  bytes: 0,
};

async function lines(source = fixture(), options = {}): Promise<string[]> {
  const session = await Session.open(source);
  const out = [...report(session, SUMMARY, options)];
  session.close();
  return out;
}

Deno.test("report has heading, counts, rate plot, ports, MSRs, interrupts and functions of the recording", async () => {
  const text = (await lines(fixture(), { trace: "a b.trace" })).join("\n");
  for (
    const part of [
      "poweroff: The guest powered off.",
      "Ran       1,300 instructions, 6 us of virtual time",
      "Recorded  19 exits, 4 hypercalls, 1 input",
      "VMEXIT_MSR           4  21.05%  ████████████████████████",
      "console_io write  [18]  2  50.00%",
      "hvm_op get_param  [34]  1  25.00%  1 failed",
      "42:[r] 2   2 values",
      "0x80b  x2APIC EOI          0 reads  1 write",
      "vector 0xf3  evtchn  2  delivered after 0 instructions (median), 40 at most",
      "0x1010 probe+0x10",
      "d1v1   1 exit   0 hypercalls",
      "Try next: retrovisor query 'a b.trace'",
    ]
  ) assertStringIncludes(text, part);
});

Deno.test("report plots exits over virtual time on an axis that ends where time does", async () => {
  const all = await lines();
  const at = all.indexOf("Exits over virtual time");
  const plot = all.slice(at + 1, at + 7);
  // Counted by hand: buckets of 100 ns; four exits in bucket 11, two in 1, 2 and none from 13 to 51.
  assertEquals(plot, [
    "  ▲           █                                                 4 per 100 ns",
    "  │           █",
    "  │ ██        █",
    "  │ ████████████                                       ██",
    "  └────────────────────────────────────────────────────────────▶",
    "  0                                                        6 us",
  ]);
});

Deno.test("report --sql prints the SQL of every section, and each of them runs alone", async () => {
  const session = await Session.open(fixture());
  const all = [...report(session, SUMMARY, { sql: true })];
  const sections = all.join("\n").split("\n\n").map((s) =>
    s.split("\n").filter((l) => l.startsWith("  -- "))
  );
  const statements = sections.filter((s) => s.length > 0).map((s) => s.map((l) => l.slice(5)).join("\n"));
  assert(statements.length >= 10, `${statements.length} statements`);
  for (const sql of statements) assert(session.records(sql).length > 0, sql);
  session.close();
});

Deno.test("report leaves out what is empty", async () => {
  const all = await lines(new FixtureSource({ exits: [encodeTable("exits", EXITS.slice(0, 2))] }));
  for (
    const title of [
      "Hypercalls",
      "I/O ports",
      "MSRs",
      "Interrupts",
      "Functions by exits",
      "Functions by instructions (PC samples)",
      "Exits by calling function",
      "Hypercalls by calling function",
      "vCPUs",
    ]
  ) {
    assert(!all.includes(title), title);
  }
  assert(all.includes("CPUID leaves"));
});

Deno.test("report shows no control character of the guest", async () => {
  const evil = { ...SYMBOLS[0], name: "f\x1b[2J\u202e" };
  const source = fixture();
  const session = await Session.open(
    new FixtureSource({ ...source.content, symbols: [encodeTable("symbols", [evil])] }),
  );
  const text = [...report(session, SUMMARY)].join("\n");
  session.close();
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(text));
  assertStringIncludes(text, "f\\x1b[2J\\u{202e}");
  assertStringIncludes(text, "evil\\x1b]0;title\\x07");
  assertStringIncludes(text, "Cmdline   a\\nb");
});

Deno.test("words are quoted for the shell only where they must be", () => {
  assertEquals([quoted("demo-1.trace"), quoted("a b"), quoted("it's")], [
    "demo-1.trace",
    "'a b'",
    "'it'\\''s'",
  ]);
});
