import { assert, assertEquals } from "@std/assert";
import { createDuckDB, NODE_RUNTIME, VoidLogger } from "@duckdb/duckdb-wasm/blocking";
import { tableFromIPC } from "apache-arrow";
import { fileURLToPath } from "node:url";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";
import { SEALS, TABLES } from "../traces/schema.ts";
import { streamSegments } from "../traces/segments.ts";
import { recordFake } from "./trace_fixture.ts";

Deno.test("every table reads the same in apache-arrow as here, row by row and column by column", async () => {
  const store = new MemoryStore();
  await recordFake(store);
  const bundle = Bundle.open(store);
  for (const spec of TABLES) {
    const theirs = tableFromIPC(store.files.get(`${spec.name}.arrows`) ?? new Uint8Array());
    const ours = bundle.table(spec.name);
    assertEquals(theirs.numRows, ours.rows, spec.name);
    assertEquals(theirs.schema.names, spec.columns.map((c) => c.name));
    const columns = spec.columns.map((c) => theirs.getChild(c.name));
    let at = 0;
    for (const batch of ours.batches()) {
      for (let row = 0; row < batch.rows; row++, at++) {
        spec.columns.forEach((c, i) => {
          const value = columns[i]?.get(at);
          const where = `${spec.name}.${c.name} row ${at}`;
          if (c.type.kind === "list") {
            const list = batch.columns[i];
            assertEquals(value.length, list.offsets[row + 1] - list.offsets[row], where);
          } else if (value instanceof Uint8Array) {
            assertEquals(new Uint8Array(value), batch.bytesAt(i, row), where);
          } else assertEquals(String(value), batch.showAt(i, row), where);
        });
      }
    }
  }
  const seals = tableFromIPC(store.files.get("seals.arrows") ?? new Uint8Array());
  assertEquals(seals.schema.names, SEALS.columns.map((c) => c.name));
  assert(seals.numRows > TABLES.length);
});

Deno.test("segments read in DuckDB with the counts and sums that are recorded", async () => {
  const store = new MemoryStore();
  const run = await recordFake(store);
  const bundle = Bundle.open(store);
  const wasm = fileURLToPath(import.meta.resolve("@duckdb/duckdb-wasm/dist/duckdb-eh.wasm"));
  const part = { mainModule: wasm, mainWorker: "" };
  const db = await createDuckDB({ mvp: part, eh: part }, new VoidLogger(), NODE_RUNTIME);
  await db.instantiate(() => {});
  const connection = db.connect();
  for (const spec of TABLES) {
    let segments = 0;
    for (const segment of streamSegments(bundle, spec.name, 2)) {
      connection.insertArrowFromIPCStream(segment, { name: spec.name, create: segments++ === 0 });
    }
  }
  const one = (sql: string) => connection.query(sql).get(0)?.toJSON();
  for (const spec of TABLES) {
    assertEquals(
      one(`select count(*)::int as n from ${spec.name}`)?.n,
      bundle.table(spec.name).rows,
      spec.name,
    );
  }
  assertEquals(one("select count(*)::int as n from exits")?.n, run.exits);
  assertEquals(
    one("select count(*)::int as n from exits where reason = 'VMEXIT_VMMCALL'")?.n,
    run.hypercalls,
  );
  let sum = 0n, nulls = 0;
  for (const batch of bundle.table("exits").batches()) {
    for (let row = 0; row < batch.rows; row++) {
      const value = batch.bigint("arg1", row);
      if (value === null) nulls++;
      else sum += value & 0xffffffffn;
    }
  }
  assertEquals(one("select sum(arg1 & 4294967295)::varchar as s from exits")?.s, String(sum));
  assertEquals(one("select count(*)::int as n from exits where arg1 is null")?.n, nulls);
  assertEquals(
    one("select count(distinct name)::int as n from hypercalls")?.n,
    distinct(bundle, "hypercalls", "name"),
  );
  connection.close();
});

function distinct(bundle: Bundle, table: string, column: string): number {
  const seen = new Set<string | null>();
  for (const b of bundle.table(table).batches()) for (let i = 0; i < b.rows; i++) seen.add(b.text(column, i));
  return seen.size;
}
