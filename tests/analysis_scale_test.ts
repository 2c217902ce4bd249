/** Large tables are loaded column by column: the answers must be those of whole tables. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { QueryError, Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { loadViews } from "../analysis/views.ts";
import { Bundle } from "../traces/bundle.ts";
import { streamSegments } from "../traces/segments.ts";
import { MemoryStore } from "../traces/store.ts";
import { synthesize } from "./synthetic_trace.ts";

const store = new MemoryStore();
synthesize(store, { exits: 20_000, vcpus: 3, functions: 300 });
const bundle = Bundle.open(store);
const whole = await Session.open(bundleSource(bundle));
const pruned = await Session.open(bundleSource(bundle), { wholeRowsMax: 0 });

function same(sql: string): number {
  const expected = whole.records(sql);
  assertEquals(pruned.records(sql), expected, sql);
  return expected.length;
}

Deno.test("synthetic recordings are whole, repeat, and hold what they say", () => {
  const again = new MemoryStore();
  synthesize(again, { exits: 20_000, vcpus: 3, functions: 300 });
  for (const [name, bytes] of store.files) assertEquals(again.files.get(name), bytes, name);
  assertEquals(bundle.table("exits").rows, 20_000);
  assertEquals(
    whole.records("SELECT count(*) AS n FROM hypercalls"),
    whole.records("SELECT count(*) AS n FROM exits WHERE reason = 'VMEXIT_VMMCALL'"),
  );
});

Deno.test("every view answers the same whether tables are loaded whole or by column", () => {
  for (const view of loadViews().values()) {
    const rows = same(`FROM ${view.signature.replace("bucket", "1000000")} ORDER BY ALL`);
    assert(rows > 0 || ["kvm_dr"].includes(view.name), `${view.name} is empty`);
  }
});

Deno.test("statements of all kinds answer the same whether tables are loaded whole or by column", () => {
  for (
    const sql of [
      "SELECT count(*) FROM exits",
      "SELECT vcpu FROM exits ORDER BY seq LIMIT 3",
      "FROM exits ORDER BY seq LIMIT 2",
      "SELECT e FROM exits e ORDER BY seq LIMIT 2",
      "SELECT * EXCLUDE (cr3) FROM exits WHERE error_code = 3 ORDER BY seq LIMIT 5",
      "WITH x AS (SELECT * FROM exits) SELECT max(gpa) FROM x WHERE reason = 'VMEXIT_NPF'",
      "SELECT (SELECT max(gla) FROM exits) AS a, count(*) FROM samples WHERE len(stack) > 3",
      "SELECT exits.rip FROM main.exits JOIN hypercalls USING (seq) ORDER BY seq LIMIT 4",
      "SELECT cs FROM exits WHERE seq = 7 UNION ALL SELECT cpl FROM exits WHERE seq = 8",
      "FROM exit_rate(5000) LIMIT 3",
    ]
  ) same(sql);
});

Deno.test("tables are loaded whole for statements that leave views behind", () => {
  pruned.records("CREATE VIEW mine AS SELECT cs, injected_vector FROM exits WHERE error_code = 2");
  whole.records("CREATE VIEW mine AS SELECT cs, injected_vector FROM exits WHERE error_code = 2");
  same("SELECT count(*), max(injected_vector) FROM mine");
  same("SELECT max(arg0) FROM memory.main.exits");
});

Deno.test("recordings side by side have a column that says which, whole or by column, in tables, views and macros", async () => {
  const other = new MemoryStore();
  synthesize(other, { exits: 900, vcpus: 1, seed: 5 });
  const second = Bundle.open(other);
  const labels = new Map([["t1", "one"], ["t2", "it's two"]]);
  const answers: unknown[] = [];
  for (const wholeRowsMax of [0, Infinity]) {
    const sources = new Map([["t1", bundleSource(bundle)], ["t2", bundleSource(second)]]);
    const session = await Session.open(sources, { labels, wholeRowsMax });
    assertEquals(session.records("SELECT trace, count(*)::INTEGER AS n FROM exits GROUP BY ALL ORDER BY n"), [
      { trace: "it's two", n: 900 },
      { trace: "one", n: 20_000 },
    ]);
    assertEquals(
      session.records("SELECT trace, sum(samples)::INTEGER AS n FROM exit_summary GROUP BY ALL ORDER BY n"),
      session.records("SELECT trace, sum(exits)::INTEGER AS n FROM exit_rate(1000) GROUP BY ALL ORDER BY n"),
    );
    assertEquals(session.records("SELECT count(*)::INTEGER AS n FROM t2.exits"), [{ n: 900 }]);
    answers.push(
      session.records("FROM hypercall_mix ORDER BY ALL"),
      session.records("SELECT max(cr3) FROM exits"),
    );
    assert(session.records("SHOW TABLES").some((r) => r.name === "exit_summary"));
    session.close();
  }
  assertEquals(answers.slice(0, 2), answers.slice(2));
});

Deno.test("a projection carries only what was asked for", () => {
  const bytes = (columns?: Set<string>) =>
    [...streamSegments(bundle, "exits", 8, columns)].reduce((n, s) => n + s.length, 0);
  assertLess(bytes(new Set(["vcpu"])) * 20, bytes());
  assertLess(bytes(new Set(["no such column"])), bytes() / 5);
});

Deno.test("a statement that does not fit into memory fails with a sentence and the session goes on", async () => {
  const session = await Session.open(bundleSource(bundle));
  session.records("SET memory_limit = '60MB'");
  let message = "";
  try {
    session.records("SELECT a.seq, list(b.seq) FROM exits a, exits b, range(50) GROUP BY a.seq");
  } catch (error) {
    assert(error instanceof QueryError);
    message = error.message;
  }
  assert(/memory/i.test(message), message);
  session.records("RESET memory_limit");
  assertEquals(session.records("SELECT count(*)::INTEGER AS n FROM exits"), [{ n: 20_000 }]);
  session.close();
});
