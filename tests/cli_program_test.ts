import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { RecordBatchReader } from "apache-arrow";
import { VERBS } from "../cli/verbs.ts";
import { ECHO_GUEST, MAIN, type Result, runIn } from "./cli_fixture.ts";

const FOLDER = await Deno.makeTempDir();
const TRACE = `${FOLDER}/demo.trace`;

const retrovisor = (args: string[], stdin = ""): Promise<Result> => runIn(FOLDER, args, stdin);

/** One sentence on standard error, nothing on standard output, no stack. */
function assertOneSentence(r: Result, code: number, text: string): void {
  assertEquals(r.out, "");
  assertMatch(r.err, /^retrovisor: [^\n]+\n$/);
  assert(!/\bat .*:\d+:\d+/.test(r.err), r.err);
  assertStringIncludes(r.err, text);
  assertEquals(r.code, code);
}

const run = await retrovisor(["run", "--output", TRACE, "--epoch", "1000000000"]);

Deno.test("run shows the demo guest's console on standard output and nothing else there", () => {
  assertEquals(run.code, 0, run.err);
  assertMatch(run.out, /^Retrovisor demo guest/);
  assertStringIncludes(run.out, "fibonacci: fib(22) = 17711\n");
  assertMatch(run.out, /done\n$/);
});

Deno.test("run ends with outcome, exits, place of the recording and what to try next", () => {
  for (
    const text of [
      "poweroff: ",
      "VMEXIT_VMMCALL",
      "xen_version version",
      `Recorded in ${TRACE}`,
      "deno task report",
    ]
  ) {
    assertStringIncludes(run.err, text);
  }
  assert(!run.err.includes("\r"), "progress belongs on terminals only");
});

Deno.test("info --format json has what programs need, and query agrees with it", async () => {
  const info = await retrovisor(["info", TRACE, "--format", "json"]);
  assertEquals([info.code, info.err], [0, ""]);
  const facts = JSON.parse(info.out);
  assertEquals([facts.guest, facts.outcome, facts.recovered], ["demo", "poweroff", false]);
  assertMatch(facts.state_hash, /^[0-9a-f]{64}$/);
  assert(facts.icount > 1e6 && facts.exits > 1000 && facts.hypercalls > 400);
  const sql = `SELECT (SELECT count(*) FROM exits) AS exits, (SELECT count(*) FROM hypercalls) AS hypercalls,
      (SELECT sum(samples) FROM exit_summary) AS samples, (SELECT sum(calls) FROM hypercall_mix) AS calls`;
  const query = await retrovisor(["query", TRACE, sql, "--format", "json"]);
  assertEquals([query.code, query.err], [0, ""]);
  assertEquals(JSON.parse(query.out), [
    { exits: facts.exits, hypercalls: facts.hypercalls, samples: facts.exits, calls: facts.hypercalls },
  ]);
});

Deno.test("query writes csv, arrow and table, from arguments, files and standard input", async () => {
  const sql = "SELECT reason, count(*) AS n FROM exits WHERE reason = 'VMEXIT_IOIO' GROUP BY reason";
  await Deno.writeTextFile(`${FOLDER}/q.sql`, sql);
  const csv = await retrovisor(["query", TRACE, "-f", `${FOLDER}/q.sql`, "--format", "csv"]);
  assertEquals([csv.out, csv.code], ["reason,n\nVMEXIT_IOIO,400\n", 0]);
  const arrow = await retrovisor(["query", TRACE, "-", "--format", "arrow"], sql);
  const batches = [...RecordBatchReader.from(arrow.bytes)];
  assertEquals(batches.map((b) => [b.getChildAt(0)?.get(0), b.getChildAt(1)?.get(0)]), [[
    "VMEXIT_IOIO",
    400n,
  ]]);
  const table = await retrovisor(["query", TRACE, sql]);
  assertEquals(table.out, "reason         n\n───────────  ───\nVMEXIT_IOIO  400\n");
});

Deno.test("report names the demo guest's functions, and --sql shows the questions", async () => {
  const report = await retrovisor(["report", TRACE, "--sql"]);
  assertEquals([report.code, report.err], [0, ""]);
  for (
    const text of ["Exits by reason", "80:[w] 400", "port_burst", "-- SELECT", "Try next: retrovisor query"]
  ) {
    assertStringIncludes(report.out, text);
  }
});

Deno.test("replay finds nothing different, also up to an icount", async () => {
  const replay = await retrovisor(["replay", TRACE, "--format", "json"]);
  assertEquals(replay.code, 0, replay.err);
  const facts = JSON.parse(replay.out);
  const info = JSON.parse((await retrovisor(["info", TRACE, "--format", "json"])).out);
  assertEquals([facts.divergence, facts.state_hash, facts.exits], [null, info.state_hash, info.exits]);
  const part = await retrovisor(["replay", TRACE, "--to", "1M", "--format", "json"]);
  assertEquals([part.code, JSON.parse(part.out).icount], [0, 1_000_000]);
});

Deno.test("SIGINT ends a recording cleanly: exit code 0, and it replays", async () => {
  await Deno.writeFile(`${FOLDER}/loop.bin`, Uint8Array.of(0xeb, 0xfe));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      MAIN,
      "run",
      "kernel=loop.bin",
      "type=flat",
      "--no-console",
      "--output",
      "loop.trace",
    ],
    cwd: FOLDER,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  for (let i = 0; i < 200; i++) {
    if (await Deno.stat(`${FOLDER}/loop.trace/exits.arrows`).then(() => true, () => false)) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  child.kill("SIGINT");
  const { code, stderr } = await child.output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  assertStringIncludes(new TextDecoder().decode(stderr), "host-stop: ");
  assertEquals((await retrovisor(["replay", "loop.trace"])).code, 0);
});

Deno.test("piped standard input is the guest's console input, recorded and replayed", async () => {
  await Deno.writeFile(`${FOLDER}/echo.bin`, ECHO_GUEST);
  const r = await retrovisor([
    "run",
    "kernel=echo.bin",
    "type=flat",
    "--output",
    "echo.trace",
    "--max-instructions",
    "50M",
  ], "hello\nq");
  assertEquals([r.code, r.out], [0, "hello\nq"], r.err);
  const inputs = await retrovisor([
    "query",
    "echo.trace",
    "SELECT target, payload FROM inputs WHERE kind = 'console'",
  ]);
  assertStringIncludes(inputs.out, "uart0   68656c6c6f0a71");
  const again = await retrovisor(["replay", "echo.trace", "--console"]);
  assertEquals([again.code, again.out.slice(0, 7)], [0, "hello\nq"]);
});

Deno.test("a script types what it says, when the guest printed what it waits for", async () => {
  await Deno.writeFile(`${FOLDER}/echo.bin`, ECHO_GUEST);
  await Deno.writeTextFile(`${FOLDER}/s`, 'send "abc"\nwait "bc"\nsend "q"\n');
  const r = await retrovisor(
    ["run", "kernel=echo.bin", "type=flat", "--no-record", "--script", "s", "--max-instructions", "50M"],
    "ignored",
  );
  assertEquals([r.code, r.out], [0, "abcq"], r.err);
});

Deno.test("an instruction limit fails the run and says so", async () => {
  await Deno.writeFile(`${FOLDER}/loop.bin`, Uint8Array.of(0xeb, 0xfe));
  const r = await retrovisor([
    "run",
    "kernel=loop.bin",
    "type=flat",
    "--no-record",
    "--max-instructions",
    "10k",
  ]);
  assertEquals([r.code, r.out], [1, ""]);
  assertStringIncludes(r.err, "instruction-limit: ");
});

Deno.test("usage errors are one sentence with exit code 2", async () => {
  const cases: [string[], string][] = [
    [["rnu"], "did you mean run?"],
    [["run", "--ouput", "x"], "did you mean --output?"],
    [["run", "memroy=1"], "did you mean memory?"],
    [["run", "nosuch.elf"], "no such file"],
    [["run", "--output", TRACE], "already holds a recording"],
    [["run", "--script", "nosuch"], "no such file"],
    [["run", "cpuid=host,nosuch=0", "--no-record"], "nosuch"],
    [["query", TRACE], "SQL is empty"],
    [["query", TRACE, "SELECT 1", "--format", "jsn"], "did you mean json?"],
    [["replay", "nosuch.trace"], "no such folder"],
    [["info", MAIN], "this is a file"],
    [["info"], "needs a recording"],
  ];
  for (const [args, text] of cases) assertOneSentence(await retrovisor(args), 2, text);
});

Deno.test("a folder with one recording in it stands for that recording", async () => {
  await Deno.mkdir(`${FOLDER}/one`);
  await Deno.symlink(TRACE, `${FOLDER}/one/demo.trace`);
  assertEquals((await retrovisor(["verify", "one"])).code, 0);
});

Deno.test("SQL errors exit with 2 and point at the place", async () => {
  const r = await retrovisor(["query", TRACE, "SELECT nosuch FROM exits"]);
  assertEquals([r.code, r.out], [2, ""]);
  assertStringIncludes(r.err, 'Referenced column "nosuch" not found');
  assert(!/\bat .*:\d+:\d+/.test(r.err), r.err);
});

Deno.test("a reader that leaves early is no error", async () => {
  const pipe = new Deno.Command("sh", {
    args: [
      "-c",
      `"$0" run -A "$1" query "$2" 'FROM range(1000000)' --format csv | head -1`,
      Deno.execPath(),
      MAIN,
      TRACE,
    ],
    stdout: "piped",
    stderr: "piped",
  });
  const { stdout, stderr } = await pipe.output();
  assertEquals([new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)], ["range\n", ""]);
});

Deno.test("every verb has --help on standard output", async () => {
  for (const { name } of VERBS) {
    const r = await retrovisor([name, "--help"]);
    assertEquals([r.code, r.err], [0, ""]);
    assertStringIncludes(r.out, `Usage: retrovisor ${name}`);
    assertStringIncludes(r.out, "Examples:");
  }
});

globalThis.addEventListener("unload", () => Deno.removeSync(FOLDER, { recursive: true }));
