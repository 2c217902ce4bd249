/** `retrovisor query`: several statements, several recordings, every format, and the terminal. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DuckDBInstance } from "@duckdb/node-api";
import { RecordBatchReader } from "apache-arrow";
import { splitStatements } from "../analysis/statements.ts";
import { complete } from "../cli/repl.ts";
import { DirectoryStore } from "../traces/store.ts";
import { MAIN, runIn } from "./cli_fixture.ts";
import { hasProgram } from "./programs.ts";
import { synthesize } from "./synthetic_trace.ts";

const FOLDER = await Deno.makeTempDir({ prefix: "retrovisor-query-" });
for (const [name, exits] of [["a", 500], ["b", 700]] as const) {
  Deno.mkdirSync(`${FOLDER}/${name}.trace`);
  synthesize(new DirectoryStore(`${FOLDER}/${name}.trace`), { exits, functions: 30, vcpus: 1 });
}
const retrovisor = (args: string[], stdin = "") => runIn(FOLDER, args, stdin);

Deno.test("statements end at semicolons outside of strings, names and comments", () => {
  const text =
    `SELECT ';' AS "a;b"; -- not; here\n/* nor; here */ ;SELECT $$;$$; select 'it''s;' ; SELECT 1 -- open`;
  assertEquals(splitStatements(text), {
    complete: [`SELECT ';' AS "a;b"`, "SELECT $$;$$", "select 'it''s;'"],
    rest: "SELECT 1 -- open",
  });
  assertEquals(splitStatements(" ;;\n-- c\n"), { complete: [], rest: "" });
  assertEquals(splitStatements("SELECT 'open; still"), { complete: [], rest: "SELECT 'open; still" });
  assertEquals(splitStatements("/* open ; SELECT 1"), { complete: [], rest: "" });
});

Deno.test("completion knows keywords, tables, views, macros and columns", () => {
  assertEquals(complete("SELECT * FROM exit_su"), [["exit_summary"], "exit_su"]);
  assertEquals(complete("FROM exit_ra"), [["exit_rate("], "exit_ra"]);
  assertEquals(complete("SELECT e.injected"), [["injected_vector"], "injected"]);
  assertEquals(complete(".f"), [[".format"], ".f"]);
  assertEquals(complete("sele"), [["SELECT"], "sele"]);
  assertEquals(complete("x ")[0], []);
});

Deno.test("query runs the statements of a file and of standard input one after the other", async () => {
  const text = "SELECT count(*) AS n FROM exits; -- and\nSELECT 'a;b' AS t;\n";
  await Deno.writeTextFile(`${FOLDER}/q.sql`, text);
  const csv = "n\n500\nt\na;b\n";
  for (
    const [args, stdin] of [
      [["a.trace", "-f", "q.sql"], ""],
      [["a.trace", "-f", "-"], text],
      [["a.trace", "-"], text],
      [["a.trace"], text],
      [["a.trace", text], ""],
    ] as const
  ) {
    const r = await retrovisor(["query", ...args, "--format", "csv"], stdin);
    assertEquals([r.code, r.out, r.err], [0, csv, ""]);
  }
});

Deno.test("query puts recordings side by side, with the name of each", async () => {
  const r = await retrovisor([
    "query",
    "a.trace",
    "b.trace",
    "SELECT trace, count(*) AS n, (SELECT count(*) FROM t2.exits) AS b FROM exits GROUP BY trace ORDER BY trace",
    "--format",
    "csv",
  ]);
  assertEquals([r.code, r.out], [0, "trace,n,b\na,500,700\nb,700,700\n"], r.err);
  const same = await retrovisor([
    "query",
    "a.trace",
    "a.trace",
    "SELECT DISTINCT trace FROM exits ORDER BY ALL",
    "--format",
    "csv",
  ]);
  assertEquals(same.out, "trace\na#1\na#2\n");
});

Deno.test("query writes Parquet and Arrow that other readers take", async () => {
  const sql = "SELECT reason, count(*) AS n FROM exits GROUP BY ALL ORDER BY n DESC, reason";
  const parquet = await retrovisor(["query", "a.trace", sql, "--format", "parquet"]);
  assertEquals([parquet.code, parquet.err], [0, ""]);
  await Deno.writeFile(`${FOLDER}/r.parquet`, parquet.bytes);
  const db = await DuckDBInstance.create(":memory:"), native = await db.connect();
  const rows = (await native.runAndReadAll(`FROM '${FOLDER}/r.parquet'`)).getRows();
  native.closeSync();
  db.closeSync();
  const arrow = await retrovisor(["query", "a.trace", sql, "--format", "arrow"]);
  const batches = [...RecordBatchReader.from(arrow.bytes)];
  assertEquals(batches.flatMap((b) => b.toArray().map((r) => [r.reason, r.n])), rows);
  assertEquals(rows.reduce((n, r) => n + Number(r[1]), 0), 500);
  const two = await retrovisor(["query", "a.trace", "SELECT 1; SELECT 2", "--format", "parquet"]);
  assertEquals([two.code, two.out], [2, ""]);
});

Deno.test("query prices exits by a file", async () => {
  await Deno.writeTextFile(`${FOLDER}/prices.toml`, '[mine]\nsource = "here"\ndefault = 2\n');
  const sql = "SELECT sum(cycles)::BIGINT AS n FROM cost WHERE preset = 'mine'";
  const r = await retrovisor(["query", "a.trace", sql, "--costs", "prices.toml", "--format", "csv"]);
  assertEquals([r.code, r.out], [0, "n\n1000\n"], r.err);
});

Deno.test("query says which of two SQL texts, and that an empty one asks nothing", async () => {
  for (
    const [args, why] of [
      [["a.trace", "SELECT 1", "-f", "q.sql"], "give one of them"],
      [["a.trace", ";; -- nothing"], "SQL is empty"],
      [["a.trace", "-f", "nosuch.sql"], "no such file"],
      [["a.trace", "b.trace", "--with", "a.trace", "SELECT 1"], "side by side"],
      [["SELECT 1"], "no such folder"],
    ] as const
  ) {
    const r = await retrovisor(["query", ...args]);
    assertEquals([r.code, r.out], [2, ""], r.err);
    assertStringIncludes(r.err, why);
  }
});

Deno.test({
  name: "query on a terminal keeps history, completes, survives errors, and ends",
  ignore: !hasProgram("script"),
  fn: async () => {
    const command =
      `${Deno.execPath()} run --no-prompt --allow-read --allow-env --allow-sys=cpus ${MAIN} query a.trace`;
    const child = new Deno.Command("script", {
      args: ["-qec", command, "/dev/null"],
      cwd: FOLDER,
      env: { TERM: "xterm", NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    let text = "";
    const reading = (async () => {
      for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) text += piece;
    })();
    const type = async (keys: string, until: RegExp) => {
      const from = text.length;
      await writer.write(new TextEncoder().encode(keys));
      const end = Date.now() + 60_000;
      while (!until.test(text.slice(from))) {
        assert(Date.now() < end, `${JSON.stringify(keys)}: ${JSON.stringify(text.slice(from))}`);
        await new Promise((r) => setTimeout(r, 50));
      }
    };
    await type("", /retrovisor> /);
    await type("SELECT 6 * 7\rAS answer;\r", /answer[\s\S]*42[\s\S]*retrovisor> /);
    await type("SELECT nosuch;\r", /nosuch" was not found[\s\S]*retrovisor> /);
    // Keys one at a time: what is pasted is not completed.
    await type("SELECT count(*) AS n FROM exit_summ", /exit_summ$/);
    await type("\t", /ary/);
    await type(";\r", /\bn\r[\s\S]*retrovisor> /);
    // The line before, again.
    await type("\x1b[A", /FROM exit_summary;/);
    await type("\r", /\bn\r[\s\S]*retrovisor> /);
    await type(".format csv\r", /format csv/);
    await type("SELECT 'x' AS t;\r", /t\r\nx\r\n/);
    await writer.write(new TextEncoder().encode(".quit\r"));
    await reading;
    await writer.close().catch(() => {});
    const { code } = await child.status;
    assertEquals(code, 0);
    assertMatch(text, /\.help explains/);
  },
});

globalThis.addEventListener("unload", () => Deno.removeSync(FOLDER, { recursive: true }));
