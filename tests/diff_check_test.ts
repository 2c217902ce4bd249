import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { baselineOf, formatBaseline, parseBaseline } from "../analysis/baseline.ts";
import { breach, budgetFor, parseBudgets } from "../analysis/budgets.ts";
import { checkAgainst } from "../analysis/check.ts";
import { annotations, failureTable, junit } from "../analysis/check_output.ts";
import { countAll, type Counts, diffRows, type Subject, SUBJECTS } from "../analysis/diff.ts";
import { Session } from "../analysis/session.ts";
import type { TraceSummary } from "../analysis/summary.ts";
import { encodeTable, EXITS, fixture, FixtureSource } from "./analysis_fixture.ts";
import { ECHO_GUEST, runIn } from "./cli_fixture.ts";
import { speedscopeReaders } from "./speedscope_reader.ts";

/** The fixture without its first exit, a CPUID. */
function shorterFixture(): FixtureSource {
  return new FixtureSource({ ...fixture().content, exits: [encodeTable("exits", EXITS.slice(1))] });
}

function counts(of: Partial<Record<Subject, Record<string, number>>>): Counts {
  return new Map(Object.entries(of).map(([s, names]) => [s as Subject, new Map(Object.entries(names))]));
}

function summary(outcome: string | null): TraceSummary {
  const config = { cmdline: "quiet", vcpus: 1, memoryBytes: 2 ** 27 };
  return { guest: "g", outcome, config } as unknown as TraceSummary;
}

Deno.test("exit_counts agrees with the views that count the same otherwise", async () => {
  const session = await Session.open(fixture());
  try {
    const all = countAll(session, SUBJECTS);
    const as = (sql: string) =>
      new Map(session.records(sql).map((r) => [String(r.name), Number(r.n)] as [string, number]));
    const pairs: [Subject, string][] = [
      ["reason", "SELECT vm_exit AS name, samples AS n FROM exit_summary"],
      [
        "hypercall",
        "SELECT concat_ws(' ', name, subop_name) AS name, sum(calls) AS n FROM hypercall_mix GROUP BY 1",
      ],
      [
        "function",
        "SELECT coalesce(function, '(unknown)') AS name, sum(exits) AS n FROM function_exits GROUP BY 1",
      ],
      ["port", "SELECT format('0x{:x} {}', port, direction) AS name, exits AS n FROM io_ports"],
    ];
    const sorted = (m: ReadonlyMap<string, number>) => [...m].sort(([a], [b]) => a < b ? -1 : 1);
    for (const [subject, sql] of pairs) {
      assertEquals(sorted(all.get(subject) ?? new Map()), sorted(as(sql)), subject);
      assert((all.get(subject)?.size ?? 0) > 1, subject);
    }
  } finally {
    session.close();
  }
});

Deno.test("diff shows what changed, and everything when asked", async () => {
  const session = await Session.open(new Map([["main", fixture()], ["b", shorterFixture()]]));
  try {
    const changed = [...diffRows(session, { subjects: SUBJECTS, all: false }).rows];
    const plain = changed.map((r) => r.map((v) => typeof v === "bigint" ? Number(v) : v));
    assertEquals(plain, [["reason", "VMEXIT_CPUID", 2, 1, -1, -50], ["function", "probe", 4, 3, -1, -25]]);
    const all = [...diffRows(session, { subjects: ["reason"], all: true }).rows];
    assertEquals(all.length, 10);
    assertEquals(all.reduce((n, r) => n + Number(r[2]), 0), EXITS.length);
  } finally {
    session.close();
  }
});

Deno.test("baselines survive being written and read, hostile names included", () => {
  const names = { "__proto__": 1, 'a"b\u001b[31m\n': 2, "</script>": 3, "\u202e": 4 };
  const own = new Map(Object.entries(JSON.parse(`{"__proto__": 1}`) as Record<string, number>));
  const made = baselineOf(
    summary("poweroff"),
    new Map([["function", new Map([...Object.entries(names), ...own])]]),
  );
  const text = formatBaseline(made);
  // deno-lint-ignore no-control-regex
  assert(!/[\u0000-\u0009\u000b-\u001f\u202e]/.test(text));
  const back = parseBaseline("f", text);
  assertEquals(formatBaseline(back), text);
  assertEquals(back.counts.get("function")?.get("__proto__"), 1);
  for (
    const bad of ["", "{}", "[]", text.replace(": 2", ": -2"), text.replace(`"version": 1`, `"version": 2`)]
  ) {
    assertThrows(() => parseBaseline("b.json", bad), Error, "Cannot use b.json");
  }
});

Deno.test("check is exact without budgets and says which counts broke", () => {
  const before = baselineOf(summary("poweroff"), counts({ reason: { A: 5, B: 1 }, hypercall: { x: 2 } }));
  assertEquals(checkAgainst(before, before, new Map()).filter((v) => v.failure !== null), []);
  const now = baselineOf(summary("crash"), counts({ reason: { A: 6, C: 3 }, hypercall: { x: 2 } }));
  const failed = checkAgainst(before, now, new Map()).filter((v) => v.failure !== null);
  assertEquals(failed.map((v) => [v.name, v.before, v.now]), [
    ["outcome", "poweroff", "crash"],
    ["C", 0, 3],
    ["A", 5, 6],
    ["B", 1, 0],
  ]);
});

Deno.test("budgets allow what they name, by count, percent, ceiling, star and total", () => {
  const budgets = parseBudgets(
    "b.toml",
    `[total]\nmax = 100\n[reason.A]\ndelta = 2\n[reason."*"]\ndelta = "10%"\n[function.f]\nmax = 7\ndelta = 3`,
  );
  assertEquals([breach(5, 7, budgetFor(budgets, "reason", "A")), breach(5, 3, { delta: 2 })], [null, null]);
  assertEquals(breach(5, 8, budgetFor(budgets, "reason", "A")), "beyond delta 2");
  assertEquals(breach(10, 11, budgetFor(budgets, "reason", "Z")), null);
  assertEquals(breach(10, 12, budgetFor(budgets, "reason", "Z")), "beyond delta 10%");
  assertEquals(breach(0, 1, { deltaPercent: 10 }), "beyond delta 10%");
  assertEquals(breach(6, 8, budgetFor(budgets, "function", "f")), "above max 7");
  assertEquals(breach(1, 7, budgetFor(budgets, "function", "f")), "beyond delta 3");
  assertEquals(breach(1, 7, { max: 7 }), null);
  assertEquals(budgetFor(budgets, "hypercall", "x"), undefined);
  const before = baselineOf(summary("poweroff"), counts({ reason: { A: 100 } }));
  const now = baselineOf(summary("poweroff"), counts({ reason: { A: 101 } }));
  assertEquals(checkAgainst(before, now, budgets).map((v) => v.failure), [null, "above max 100", null]);
  for (
    const bad of ["x", "[what]\na = 1", "[total]", "[total]\nmax = -1", "[reason.A]\nmin = 2", "reason = 3"]
  ) {
    assertThrows(() => parseBudgets("b.toml", bad), Error, "Cannot use b.toml");
  }
});

Deno.test("verdicts cannot break out of table, XML or annotations", () => {
  const nasty = `</testcase>&"'\u001b[2J\n::error::x%0A\uffff`;
  const verdicts = [{ subject: "function" as const, name: nasty, before: 1, now: 2, failure: "changed" }];
  const xml = [...junit("t", verdicts)].join("");
  assertStringIncludes(xml, "&lt;/testcase&gt;&amp;&quot;&apos;\\x1b[2J\\n");
  assertEquals(xml.match(/<\/testcase>/g)?.length, 1);
  assertStringIncludes(xml, `tests="1" failures="1" errors="0"`);
  const [line] = annotations(verdicts);
  assertMatch(line, /^::error title=retrovisor check::function [^\n]*%250A[^\n]*: 1 -> 2 \(\+1\), changed$/);
  // deno-lint-ignore no-control-regex
  assert(!/[\u0000-\u001f]/.test(failureTable(verdicts, 10).join("")));
  const many = Array.from({ length: 12 }, (_, i) => ({ ...verdicts[0], name: `f${i}` }));
  assertEquals(annotations(many).length, 10);
  assertStringIncludes(annotations(many)[9], "and 3 more counts");
  assertEquals(failureTable(many, 5).at(-1), "... and 7 more");
});

Deno.test("diff and check work on recordings, from the command line", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${folder}/echo.bin`, ECHO_GUEST);
    const record = async (name: string, input: string) => {
      await Deno.writeTextFile(`${folder}/script`, `send ${JSON.stringify(input)}\n`);
      const r = await runIn(folder, [
        ...["run", "kernel=echo.bin", "type=flat", "--script", "script"],
        ...["--output", name, "--max-instructions", "50M"],
      ]);
      assertEquals(r.code, 0, r.err);
    };
    await record("a.trace", "hello q");
    await record("b.trace", "hello, q");
    const same = await runIn(folder, ["diff", "a.trace", "a.trace", "--exit-code"]);
    assertEquals([same.code, same.err], [0, "retrovisor: no count differs.\n"]);
    const diff = await runIn(folder, ["diff", "a.trace", "b.trace", "--format", "json", "--exit-code"]);
    const rows: { subject: string; name: string; change: number }[] = JSON.parse(diff.out);
    assertEquals(diff.code, 1);
    assertEquals(rows.find((r) => r.name === "0x3f8 r")?.change, 1);
    const flames = await Promise.all(["d.speedscope.json", "d.folded"].map(async (file) => {
      const r = await runIn(folder, ["diff", "a.trace", "b.trace", "--flame", file]);
      assertEquals(r.code, 0, r.err);
      return await Deno.readTextFile(`${folder}/${file}`);
    }));
    const exits = async (trace: string) => {
      const r = await runIn(folder, ["query", trace, "SELECT count(*) AS n FROM exits", "--format", "csv"]);
      return Number(r.out.split("\n")[1]);
    };
    const both = [await exits("a.trace"), await exits("b.trace")];
    // speedscope's own readers take both: four profiles, and the first of two counts.
    const readers = await speedscopeReaders();
    const group = await readers.importProfileGroupFromText("d.speedscope.json", flames[0]);
    assertEquals(group?.profiles.map((p) => p.getTotalWeight()).slice(2), [both[1], both[0]]);
    const [more, less] = group!.profiles.map((p) => p.getTotalWeight());
    assertEquals(more - less, both[1] - both[0]);
    const folded = flames[1].trimEnd().split("\n").map((l) =>
      /^\S.* (\d+) (\d+)$/.exec(l)!.slice(1).map(Number)
    );
    assertEquals([0, 1].map((i) => folded.reduce((n, l) => n + l[i], 0)), both);
    const base = ["--baseline", "base.json"];
    assertEquals((await runIn(folder, ["check", "a.trace", ...base])).code, 2);
    assertEquals((await runIn(folder, ["check", "a.trace", ...base, "--write-baseline"])).code, 0);
    const holds = await runIn(folder, ["check", "a.trace", ...base]);
    assertEquals([holds.code, holds.err], [0, ""]);
    const broken = await runIn(folder, ["check", "b.trace", ...base, "--junit", "j.xml", "--github"]);
    assertEquals(broken.code, 1);
    assertStringIncludes(broken.out, "VMEXIT_IOIO");
    assertStringIncludes(broken.out, "::error title=retrovisor check::reason VMEXIT_IOIO");
    assertStringIncludes(await Deno.readTextFile(`${folder}/j.xml`), `failures="2"`);
    await Deno.writeTextFile(
      `${folder}/budgets.toml`,
      `[reason."*"]\ndelta = 100\n[function."*"]\ndelta = 100\n`,
    );
    const allowed = await runIn(folder, ["check", "b.trace", ...base, "--budgets", "budgets.toml"]);
    assertEquals([allowed.code, allowed.err], [0, ""]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
