import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { outcomeExitCode, UsageError } from "../cli/exit_code.ts";
import { editDistance, nearest } from "../cli/nearest.ts";
import { countOption, parseVerbArgs, type Verb, verbHelp } from "../cli/verb.ts";
import { programHelp, VERBS } from "../cli/verbs.ts";

const verb: Verb = {
  name: "test",
  summary: "Tests.",
  usage: "[X]",
  options: [
    { name: "output", alias: "o", value: "DIR", help: "Where." },
    { name: "record", negatable: true, help: "Record." },
    { name: "sql", help: "Show." },
  ],
  examples: [["test x", "Does x."]],
  run: () => Promise.resolve(0),
};

Deno.test("verb arguments: options, flags and positional words are told apart", () => {
  const given = parseVerbArgs(verb, ["a", "-o", "d", "k=v", "--no-record", "007", "-", "--", "--sql"]);
  assertEquals(given.args, ["a", "k=v", "007", "-", "--sql"]);
  assertEquals(given.values, { output: "d" });
  assertEquals(given.flags, { record: false, sql: undefined, help: undefined });
  assertEquals(parseVerbArgs(verb, ["--output=x", "--record", "--sql"]).flags.record, true);
});

Deno.test("verb arguments: mistakes are named with what to do instead", () => {
  assertThrows(() => parseVerbArgs(verb, ["--ouput", "d"]), UsageError, "did you mean --output?");
  assertThrows(() => parseVerbArgs(verb, ["--no-recrod"]), UsageError, "did you mean --no-record?");
  assertThrows(() => parseVerbArgs(verb, ["--zzzzzz=1"]), UsageError, "known are --output");
  assertThrows(() => parseVerbArgs(verb, ["-x"]), UsageError, "no option -x");
  assertThrows(() => parseVerbArgs(verb, ["--output"]), UsageError, "needs a value: --output DIR");
  assertThrows(() => parseVerbArgs(verb, ["-o", "a", "-o", "b"]), UsageError, "given 2 times");
});

Deno.test("counts take suffixes, underscores and hexadecimal", () => {
  assertEquals(["0", "10", "1_000", "5M", "1.5k", "2G", "0x10", "1e6"].map((t) => countOption("n", t)), [
    0,
    10,
    1000,
    5e6,
    1500,
    2e9,
    16,
    1e6,
  ]);
  for (const bad of ["", "-1", "abc", "1.5", "0x", "1e99", "9007199254740993", "1 2", "5X"]) {
    assertThrows(() => countOption("n", bad), UsageError, "takes a count");
  }
});

Deno.test("edit distance counts insertions, deletions, substitutions and swaps", () => {
  assertEquals(editDistance("run", "run"), 0);
  assertEquals(editDistance("rnu", "run"), 1);
  assertEquals(editDistance("", "abc"), 3);
  assertEquals(editDistance("kitten", "sitting"), 3);
});

Deno.test("nearest finds the word that was meant, and nothing when none is near", () => {
  assertEquals(nearest("repaly", ["run", "replay", "report"]), "replay");
  assertEquals(nearest("KERNEL", ["kernel"]), "kernel");
  assertEquals(nearest("x", ["memory", "kernel"]), null);
  assertEquals(nearest("a".repeat(100_000), ["kernel"]), null);
});

Deno.test("every verb has help with its options and an example that names it", async () => {
  for (const { name, summary, load } of VERBS) {
    const v = await load();
    assertEquals([v.name, v.summary], [name, summary]);
    const help = verbHelp(v);
    for (const o of v.options) assertStringIncludes(help, o.negatable ? `--[no-]${o.name}` : `--${o.name}`);
    for (const [command] of v.examples) assertEquals(command.split(" ")[0], name);
    assertStringIncludes(programHelp("1.0"), summary);
  }
});

Deno.test("exit codes follow the outcome", () => {
  const code = (kind: Parameters<typeof outcomeExitCode>[0]["kind"], value?: number) =>
    outcomeExitCode({ kind, message: "", ...(value === undefined ? {} : { code: value }) });
  assertEquals([code("poweroff"), code("reboot"), code("idle"), code("host-stop"), code("exit", 0)], [
    0,
    0,
    0,
    0,
    0,
  ]);
  assertEquals([
    code("crash"),
    code("triple-fault"),
    code("halted"),
    code("instruction-limit"),
    code("exit", 3),
  ], [
    1,
    1,
    1,
    1,
    1,
  ]);
  assertEquals(code("unimplemented"), 5);
});
