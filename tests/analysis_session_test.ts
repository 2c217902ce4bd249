import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { RecordBatchReader } from "apache-arrow";
import { QueryError, Session } from "../analysis/session.ts";
import { needs, parseView, ViewError } from "../analysis/views.ts";
import { encodeTable, EXITS, fixture, FixtureSource } from "./analysis_fixture.ts";

Deno.test("session loads only the tables a statement names, once", async () => {
  const source = fixture();
  const session = await Session.open(source);
  assertEquals(source.reads.size, 0);
  session.records("FROM hypercall_mix");
  session.records("SELECT count(*) FROM hypercalls");
  assertEquals([...source.reads], [["hypercalls", 1]]);
  session.records("FROM vcpu_state");
  assertEquals([...source.reads.keys()].sort(), ["exits", "hypercalls", "interrupts"]);
  session.close();
});

Deno.test("session gives 64-bit values exactly, through rows and through Arrow", async () => {
  const session = await Session.open(fixture());
  const sql = "SELECT max(rip) AS rip, sum(seq) AS total, -1::BIGINT AS low FROM exits";
  assertEquals(session.records(sql), [{ rip: 0xffff_ffff_8100_0000n, total: 171n, low: -1n }]);
  const reader = RecordBatchReader.from(session.arrow("SELECT rip FROM exits WHERE seq = 17"));
  assertEquals([...reader].map((b) => b.getChildAt(0)?.get(0)), [0xffff_ffff_8100_0000n]);
  session.close();
});

Deno.test("session gives reasons as text in streamed results, though they are stored as codes", async () => {
  const session = await Session.open(fixture());
  assertEquals(session.records("SELECT reason, mode FROM exits WHERE seq = 5"), [{
    reason: "VMEXIT_MSR",
    mode: "long",
  }]);
  assertEquals(session.records("SELECT count(*)::INTEGER AS n FROM exits WHERE reason = 'NO_SUCH'"), [{
    n: 0,
  }]);
  session.close();
});

Deno.test("session takes reasons that this version does not know, and columns that the recording lacks", async () => {
  const rows = [{ ...EXITS[0], reason: "VMEXIT_FROM_THE_FUTURE" }, EXITS[1]];
  const source = new FixtureSource({
    exits: [encodeTable("exits", [EXITS[2]], ["error_code"]), encodeTable("exits", rows, ["error_code"])],
  });
  const session = await Session.open(source);
  assertEquals(session.records("SELECT reason, error_code FROM exits ORDER BY seq LIMIT 1"), [
    { reason: "VMEXIT_FROM_THE_FUTURE", error_code: null },
  ]);
  assertEquals(session.records("SELECT sum(samples)::INTEGER AS n FROM exit_summary"), [{ n: 3 }]);
  session.close();
});

Deno.test("session joins two recordings by schema, with views in each", async () => {
  const other = new FixtureSource({ exits: [encodeTable("exits", EXITS.slice(0, 4))] });
  const session = await Session.open(new Map([["main", fixture()], ["b", other]]));
  assertEquals(
    session.records("SELECT (SELECT count(*) FROM exits) AS a, (SELECT count(*) FROM b.exits) AS b"),
    [
      { a: 19n, b: 4n },
    ],
  );
  assertEquals(session.records("SELECT samples FROM b.exit_summary ORDER BY ALL"), [{ samples: 2n }, {
    samples: 2n,
  }]);
  assertEquals(session.records("SELECT sum(samples)::INTEGER AS n FROM exit_summary"), [{ n: 19 }]);
  session.close();
});

Deno.test("session errors are DuckDB's words in a QueryError, and the session goes on", async () => {
  const session = await Session.open(fixture());
  const error = assertThrows(() => session.records("SELECT nosuch FROM exits"), QueryError);
  assertStringIncludes(error.message, 'Referenced column "nosuch" not found');
  assertThrows(() => session.records("SELEC 1"), QueryError, "syntax error");
  assertThrows(() => session.records(""), QueryError);
  assertThrows(
    () => session.records("SELECT CASE WHEN seq = 9 THEN error('boom') END FROM exits"),
    QueryError,
    "boom",
  );
  assertEquals(session.records("SELECT 1 AS one"), [{ one: 1 }]);
  session.close();
  assertThrows(() => session.records("SELECT 1"), QueryError, "closed");
});

Deno.test("session answers at once when an extension would be fetched from the network", async () => {
  const session = await Session.open(fixture());
  assertThrows(
    () => session.records("FROM read_parquet('x.parquet')"),
    QueryError,
    '"parquet", which is not built in',
  );
  session.close();
});

Deno.test("session shows every table and view to statements about the catalog", async () => {
  const source = fixture();
  const session = await Session.open(source);
  const names = session.records("SHOW TABLES").map((r) => r.name);
  for (const name of ["exits", "pages", "exit_summary", "kvm_pio"]) assert(names.includes(name), name);
  assertEquals(session.records("DESCRIBE exits")[5], {
    column_name: "reason",
    column_type: "VARCHAR",
    null: "YES",
    key: null,
    default: null,
    extra: null,
  });
  session.close();
});

Deno.test("session reads a result of many rows piece by piece", async () => {
  const session = await Session.open(fixture());
  let n = 0;
  for (const [v] of session.query("SELECT range FROM range(1000000)").rows) {
    assertEquals(v, BigInt(n++));
    if (n === 5000) break;
  }
  assertEquals(session.records("SELECT count(*)::INTEGER AS n FROM exits"), [{ n: 19 }]);
  session.close();
});

Deno.test("views that others need are created first", () => {
  const { tables, views } = needs("SELECT * FROM io_ports", new Set(["exits", "inputs"]));
  assertEquals(tables, ["exits"]);
  assertEquals(views.map((v) => v.name), ["kvm_pio", "io_ports"]);
});

Deno.test("view files without header or statement are refused", () => {
  assertThrows(() => parseView("x.sql", "SELECT 1"), ViewError, "x.sql");
  assertThrows(() => parseView("x.sql", "-- x: y\nSELECT 1"), ViewError, "CREATE OR REPLACE");
});
