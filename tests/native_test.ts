/** A native DuckDB, which is another version of it, answers every view as the one that is built in. */
import { assert, assertEquals } from "@std/assert";
import { NativeSession } from "../analysis/native.ts";
import { QueryError, Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { loadViews } from "../analysis/views.ts";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";
import { synthesize } from "./synthetic_trace.ts";

Deno.test("every view answers the same in a native DuckDB", async () => {
  const store = new MemoryStore();
  synthesize(store, { exits: 4000, vcpus: 3, functions: 60 });
  const bundle = Bundle.open(store);
  const built = await Session.open(bundleSource(bundle));
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-native-" });
  const native = await NativeSession.open(bundleSource(bundle), folder);
  try {
    for (const view of loadViews().values()) {
      const sql = `FROM ${view.signature.replace("bucket", "1000000")} ORDER BY ALL`;
      const { columns, rows } = await native.query(sql);
      const names = columns.map((c) => c.name);
      const got = Array.from(rows, (r) => Object.fromEntries(r.map((v, i) => [names[i], v])));
      assertEquals(got, built.records(sql), view.name);
    }
    const error = await native.query("SELECT nosuch FROM exits").catch((e) => e);
    assert(error instanceof QueryError && /nosuch/.test(error.message));
  } finally {
    native.close();
    built.close();
    await Deno.remove(folder, { recursive: true });
  }
});
