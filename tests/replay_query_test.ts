import { assert, assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import { replayCalls } from "../analysis/replay/calls.ts";
import { type ComputedTable, type Computer, expandReplay } from "../analysis/replay/expand.ts";
import { REPLAY_FUNCTIONS } from "../analysis/replay/functions.ts";
import { QueryError, type Row, Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { CachedComputer } from "../cli/replay_tables.ts";
import { ReplayComputer } from "../replay/scan/compute.ts";
import { Bundle } from "../traces/bundle.ts";
import { recordDemo } from "./debug_fixture.ts";

const { store, run } = await recordDemo();
const folder = Deno.makeTempDirSync();
for (const [name, file] of store.files) Deno.writeFileSync(`${folder}/${name}`, file);
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const bundle = Bundle.open(folder);
const session = await Session.open(bundleSource(bundle));
const computer = new ReplayComputer(bundle);
let schemas = 1;

async function ask(sql: string, by: Computer = computer): Promise<Row[]> {
  const { sql: full, made } = await expandReplay(session, sql, by, schemas);
  schemas += made;
  return session.records(full);
}

Deno.test("calls of replay functions are found in SQL, and in nothing that only looks like them", () => {
  const sql = `-- instructions(1, 2)
    SELECT 'calls(1,2)', "calls"(3), t.calls(1, 2) /* registers(1) */ FROM
    Memory_Writes(address := (SELECT max(start) FROM s WHERE f(a, b) = ')'), from => 5, to := 7) w, registers( 9 )`;
  const calls = replayCalls(sql);
  assertEquals(calls.map((c) => [c.function.name, Object.fromEntries(c.arguments)]), [
    ["memory_writes", { address: "(SELECT max(start) FROM s WHERE f(a, b) = ')')", from: "5", to: "7" }],
    ["registers", { at: "9" }],
  ]);
  assertEquals(sql.slice(calls[1].start, calls[1].end), "registers( 9 )");
  for (
    const wrong of [
      "calls(1, 2, 3)",
      "calls(at := 1)",
      "calls(1, from := 2)",
      "calls(1",
      "last_write(1, 2, 3, true, 5)",
    ]
  ) {
    assertThrows(() => replayCalls(`FROM ${wrong}`), QueryError);
  }
});

Deno.test("every replay function has the columns that it documents", async () => {
  const uses: Record<string, string> = {
    last_write: `last_write(0x100000, 100000)`,
    registers: "registers(5000)",
  };
  for (const f of REPLAY_FUNCTIONS) {
    const use = uses[f.name] ?? `${f.name}(from := 5000, to := 5100)`;
    const { sql, made } = await expandReplay(session, `SELECT * FROM ${use} LIMIT 1`, computer, schemas);
    schemas += made;
    assertEquals(session.query(sql).columns.map((c) => c.name), f.columns.map((c) => c.name), f.name);
  }
});

Deno.test("who last wrote a byte before an icount is one statement, with the function that did", async () => {
  // Some write in the middle of the recording, and its successor to the same place.
  const [w] = await ask(
    `SELECT * FROM memory_writes(from := 3000000, to := 3100000) WHERE source = 'cpu' ORDER BY icount DESC LIMIT 1`,
  );
  const at = Number(w.icount), address = w.address as bigint;
  const last = await ask(`SELECT * FROM last_write(${address}, ${at + 1})`);
  assertEquals(last, [w]);
  assertEquals(
    await ask(`SELECT * FROM last_write(gpa_is_not_named := 1)`).catch((e) => e.name),
    "QueryError",
  );
  const all = await ask(
    `SELECT w.icount, f.name FROM memory_writes(${address}, 1, to := ${at}) w
     ASOF JOIN functions f ON w.rip >= f.start ORDER BY icount DESC LIMIT 1`,
  );
  const before = await ask(`SELECT icount, function FROM last_write(${address}, ${at})`);
  assertEquals(before.map((r) => r.icount), all.map((r) => r.icount));
  assertEquals(before[0]?.function, all[0]?.name);
  assertGreater(String(before[0]?.function).length, 0);
  // The same by physical address; and nobody wrote it before the beginning.
  assertEquals(await ask(`SELECT * FROM last_write(${w.gpa}, ${at + 1}, physical := true)`), [w]);
  assertEquals(await ask(`SELECT * FROM last_write(${address}, 0)`), []);
});

Deno.test("calls join with hypercalls and exits by icount, and registers say where they were made", async () => {
  const [call] = session.records("SELECT icount, nr, name FROM hypercalls ORDER BY icount LIMIT 1 OFFSET 3");
  const rows = await ask(
    `SELECT h.name, i.text, r.rax FROM instructions(${call.icount}, ${Number(call.icount) + 1}) i
     JOIN hypercalls h USING (icount), registers(${call.icount}) r`,
  );
  assertEquals(rows.map((r) => [r.name, r.text, r.rax]), [[call.name, "vmmcall", call.nr]]);
});

Deno.test("threads compute what one thread computes", async () => {
  const request = { table: "calls", from: 7_990_000, to: 16_010_000, range: null };
  const one = await computer.compute(request),
    many = await new ReplayComputer(bundle, folder).compute(request);
  assertGreater(one.rows, 1000);
  const kinds = (t: ComputedTable) => {
    const data = t.columns.find((c) => c.name === "code")!.data;
    return Array.from(data, (c) => t.codes[c]);
  };
  assertEquals(kinds(many), kinds(one));
  for (const { name, data } of one.columns) {
    if (name !== "code") assertEquals(many.columns.find((c) => c.name === name)!.data, data, name);
  }
});

Deno.test("what was computed is kept, and neither verifying nor a damaged copy minds", async () => {
  const sql = "SELECT * FROM branches(1000000, 1000200)";
  const first = await ask(sql, new CachedComputer(bundle, folder, true));
  const [file] = [...Deno.readDirSync(`${folder}/cache`)].map((e) => `${folder}/cache/${e.name}`);
  const never: Computer = {
    end: run.icount,
    compute: (request) => {
      const kept = new CachedComputer(bundle, folder, true);
      Object.defineProperty(kept, "end", { value: run.icount });
      return kept.compute(request);
    },
  };
  const stamp = Deno.statSync(file).mtime;
  assertEquals(await ask(sql, never), first);
  assertEquals(Deno.statSync(file).mtime, stamp, "it was computed again");
  Bundle.open(folder).close();
  const bytes = Deno.readFileSync(file);
  bytes[bytes.length - 5] ^= 1;
  Deno.writeFileSync(file, bytes);
  assertEquals(await ask(sql, new CachedComputer(bundle, folder, true)), first);
  assert(Deno.readFileSync(file)[bytes.length - 5] !== bytes[bytes.length - 5], "the damaged copy was kept");
});

Deno.test("arguments that make no sense are answered in one sentence", async () => {
  const wrong: [string, RegExp][] = [
    ["registers(at := 'x')", /at of registers must be a count, not x/],
    ["registers()", /registers needs at/],
    [`registers(${run.icount + 5})`, /recording ends at icount/],
    ["memory_writes('nowhere_at_all')", /no such symbol/],
    ["memory_writes(5, 0)", /bytes of memory_writes must be 1 to/],
    ["instructions(10, 5)", /from an icount to a later one/],
    ["instructions(exits.icount)", /must be a constant or a query/],
    ["instructions(-1)", /must be a count/],
  ];
  for (const [call, says] of wrong) {
    const error = await assertRejects(() => ask(`FROM ${call}`), QueryError);
    assert(says.test(error.message), error.message);
  }
});

Deno.test("every statement of docs/replay-tables.md has calls that are understood", async () => {
  const text = await Deno.readTextFile(new URL("../docs/replay-tables.md", import.meta.url));
  const asked = [...text.matchAll(/deno task query boot\.trace "([^"]+)"\n\n {4}(.+)\n/g)];
  assertGreater(asked.length, 4);
  for (const [, sql, titles] of asked) {
    assertEquals(replayCalls(sql).length, 1, sql);
    // On a recording of another guest there is nothing to find, but the columns are the same.
    const small = sql.replace(/\b[0-9]{7,}\b/g, (n) => String(5000 + Number(n) % 100_000));
    const { sql: full, made } = await expandReplay(session, small, computer, schemas);
    schemas += made;
    assertEquals(session.query(full).columns.map((c) => c.name), titles.trim().split(/ +/), sql);
  }
});
