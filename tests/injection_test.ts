/** A guest that writes SQL and terminal commands wherever it can: every verb of analysis shows them as text, and no more. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DuckDBInstance } from "@duckdb/node-api";
import { duckdbScript } from "../analysis/fleet/views.ts";
import { FORMATS } from "../analysis/export/formats.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { identifier } from "../analysis/tables.ts";
import { loadViews } from "../analysis/views.ts";
import { EventWriter, HypercallWriter } from "../replay/event_writer.ts";
import { Bundle } from "../traces/bundle.ts";
import { BundleWriter } from "../traces/bundle_writer.ts";
import { DirectoryStore } from "../traces/store.ts";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { runIn } from "./cli_fixture.ts";
import { synthesize } from "./synthetic_trace.ts";

const FOLDER = await Deno.makeTempDir({ prefix: "retrovisor-injection-" });

/** Text that ends a string, an identifier, a statement, a comment, a terminal's patience. */
const PAYLOADS = [
  `'; DROP TABLE exits; --`,
  `"; DELETE FROM main_coded.exits; SELECT "`,
  `'); CREATE TABLE pwned AS SELECT 1; --`,
  `' UNION ALL SELECT current_setting('access_mode') --`,
  `*/ ATTACH 'pwned.db'; /*`,
  `$$; COPY exits TO 'pwned.csv'; $$`,
  `\u001b]0;pwned\u0007\u001b[2J`,
  `<script>alert(1)</script>`,
  `\u202eetirw`,
  `%s%n\\'\\"`,
];
const payload = (n: number) => PAYLOADS[n % PAYLOADS.length];

/** A recording with those everywhere that a guest, or who gives its files, can put text. */
function makeTrace(name: string, seed: number): void {
  Deno.mkdirSync(`${FOLDER}/${name}.trace`);
  synthesize(new DirectoryStore(`${FOLDER}/${name}.trace`), {
    exits: 2000,
    vcpus: 2,
    seed,
    functions: 40,
    config: { name: payload(0), cmdline: PAYLOADS.join(" ") },
    text: (kind, n) => kind === "symbol" ? `${payload(n)}${n}` : `${payload(n)}\n`,
  });
}

makeTrace("hostile", 1);
makeTrace("other", 2);
const before = await digest("hostile");

async function digest(name: string): Promise<string> {
  const names = [...Deno.readDirSync(`${FOLDER}/${name}.trace`)].map((e) => e.name).sort();
  const parts = await Promise.all(names.map(async (n) => {
    const hash = await crypto.subtle.digest("SHA-256", await Deno.readFile(`${FOLDER}/${name}.trace/${n}`));
    return `${n} ${new Uint8Array(hash).toHex()}`;
  }));
  return parts.join("\n");
}

/** Nothing but what was asked for was made, and the recording is as it was. */
async function assertUnmoved(allowed: RegExp): Promise<void> {
  const made = [...Deno.readDirSync(FOLDER)].map((e) => e.name).filter((n) =>
    !/^(hostile|other)\.trace$/.test(n)
  );
  assertEquals(made.filter((n) => !allowed.test(n)), []);
  assertEquals(await digest("hostile"), before);
}

// deno-lint-ignore no-control-regex
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/;

Deno.test("no view runs what a guest wrote: tables stay, and nothing appears", async () => {
  const session = await Session.open(bundleSource(Bundle.open(`${FOLDER}/hostile.trace`)));
  const tables = () =>
    session.records(
      "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema <> 'x' ORDER BY ALL",
    );
  const exits = () => session.records("SELECT count(*)::INTEGER AS n FROM exits");
  const names = tables();
  for (const view of loadViews().values()) {
    session.records(`FROM ${view.signature.includes("(") ? `${view.name}(1000)` : identifier(view.name)}`);
  }
  assertEquals([tables(), exits()], [names, [{ n: 2000 }]]);
  const shown = session.records("SELECT DISTINCT function FROM exit_functions ORDER BY 1").map((r) =>
    r.function
  );
  assert(shown.includes(`${PAYLOADS[0]}0`) && shown.includes(`${PAYLOADS[2]}2`), shown.join("\n"));
  session.close();
});

Deno.test("query, report, diff and check print hostile text harmlessly and run none of it", async () => {
  const statements = ["top_function", "console_text", "recording", "hypercall_mix"].map((v) => `FROM ${v};`);
  await Deno.writeTextFile(`${FOLDER}/made.sql`, statements.join("\n"));
  const commands: string[][] = [
    ["report", "hostile.trace"],
    ["query", "hostile.trace", "-f", "made.sql"],
    ["query", "hostile.trace", "other.trace", "FROM stacks LIMIT 50", "--format", "csv"],
    ["diff", "hostile.trace", "other.trace", "--all", "--flame", "made.folded"],
    ["check", "hostile.trace", "--baseline", "made.json", "--write-baseline"],
    ["check", "other.trace", "--baseline", "made.json", "--junit", "made.xml", "--github"],
  ];
  for (const command of commands) {
    const r = await runIn(FOLDER, command);
    const failed = command[0] === "check" && command[1] === "other.trace";
    assertEquals(r.code, failed ? 1 : 0, `${command.join(" ")}: ${r.err}`);
    assert(!CONTROL.test(r.out + r.err), command.join(" "));
    await assertUnmoved(/^made\./);
  }
  for (const file of ["made.folded", "made.json", "made.xml"]) {
    assert(!CONTROL.test(await Deno.readTextFile(`${FOLDER}/${file}`)), file);
  }
});

Deno.test("export writes hostile text as text in every format, and other programs run none of it", async () => {
  const bundle = Bundle.open(`${FOLDER}/hostile.trace`), session = await Session.open(bundleSource(bundle));
  const input = { session, summary: traceSummary(bundle), table: "top_function", warn: () => {} };
  for (const { name, binary, write, files } of FORMATS) {
    for (const { pieces } of files?.(input) ?? [{ pieces: write!(input) }]) {
      for await (const piece of pieces) {
        if (typeof piece === "string" && !binary) assert(!CONTROL.test(piece), name);
      }
    }
  }
  assertEquals(session.records("SELECT count(*)::INTEGER AS n FROM exits"), [{ n: 2000 }]);
  session.close();
  await assertUnmoved(/^made\./);
  const r = await runIn(FOLDER, [
    "export",
    "hostile.trace",
    "other.trace",
    "--to",
    "parquet",
    "--partition",
    "-o",
    "made.runs",
  ]);
  assertEquals(r.code, 0, r.err);
  const db = await DuckDBInstance.create(":memory:"), native = await db.connect();
  for (const statement of duckdbScript(`${FOLDER}/made.runs`)) await native.run(statement);
  const rows = async (sql: string) => (await native.runAndReadAll(sql)).getRows();
  assertEquals(await rows("SELECT run, cmdline, exits FROM runs ORDER BY run"), [
    ["hostile", PAYLOADS.join(" "), 2000n],
    ["other", PAYLOADS.join(" "), 2000n],
  ]);
  assertEquals(await rows("SELECT count(*)::INTEGER FROM exits"), [[4000]]);
  native.closeSync();
  db.closeSync();
  await assertUnmoved(/^made\./);
  // A run's name becomes a folder and a literal: only plain ones are taken.
  for (const run of [`'; DROP TABLE runs; --`, "../up", "x\ny"]) {
    const bad = await runIn(FOLDER, [
      "export",
      "hostile.trace",
      "--to",
      "parquet",
      "--partition",
      "-o",
      "made.runs",
      "--run",
      run,
    ]);
    assertEquals(bad.code, 2, run);
    assert(!CONTROL.test(bad.err.trimEnd().replaceAll("\n", "")), bad.err);
  }
  await assertUnmoved(/^made\./);
});

Deno.test("names that only a hostile recording has are text, too: hypercalls, devices, sources", async () => {
  Deno.mkdirSync(`${FOLDER}/names.trace`);
  const bundle = new BundleWriter(new DirectoryStore(`${FOLDER}/names.trace`), DEFAULT_CONFIG, []);
  const events = new EventWriter(bundle), calls = new HypercallWriter(bundle.table("hypercalls"));
  PAYLOADS.forEach((text, i) => {
    calls.write({
      ...{ seq: i, parentSeq: -1, icount: i, vcpu: 0, nr: 1, name: text, subop: 0, subopName: text },
      ...{ args: [], result: -1n, errnoName: text, buffer: new TextEncoder().encode(text) },
    });
    events.interrupt({
      ...{
        icount: i,
        timeNs: i,
        vcpu: 0,
        vector: 1,
        source: text,
        port: -1,
        raisedIcount: 0,
        ripLo: 0,
        ripHi: 0,
      },
    });
    events.console(i, i, text, new TextEncoder().encode(`${text}\n`));
    events.symbol({ start: BigInt(i), size: 1, name: text, module: text, source: text });
    events.input({ icount: i, timeNs: i, vcpu: 0, kind: "net", target: text, payload: new Uint8Array() });
  });
  const facts = { icount: 100, timeNs: 100, exits: 0, hypercalls: PAYLOADS.length, inputs: PAYLOADS.length };
  bundle.close({ ...facts, outcome: { kind: "poweroff", message: PAYLOADS[0] }, stateHash: "00".repeat(32) });
  for (
    const command of [["report", "names.trace"], ["query", "names.trace", "FROM hypercall_mix"], [
      "info",
      "names.trace",
    ]]
  ) {
    const r = await runIn(FOLDER, command);
    assertEquals(r.code, 0, r.err);
    assert(!CONTROL.test(r.out), r.out);
  }
  const csv = await runIn(FOLDER, [
    "query",
    "names.trace",
    "SELECT DISTINCT source FROM interrupt_mix",
    "--format",
    "csv",
  ]);
  for (const text of PAYLOADS.filter((t) => ![...'"\u001b\u202e\n'].some((c) => t.includes(c)))) {
    assertStringIncludes(csv.out, text);
  }
});

globalThis.addEventListener("unload", () => Deno.removeSync(FOLDER, { recursive: true }));
