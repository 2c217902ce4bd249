/** A native DuckDB, which is another version of it, answers every view as the one that is built in. */
import { assertEquals } from "@std/assert";
import { formatRows } from "../analysis/format.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { loadViews } from "../analysis/views.ts";
import { Bundle } from "../traces/bundle.ts";
import { DirectoryStore } from "../traces/store.ts";
import { MAIN } from "./cli_fixture.ts";
import { synthesize } from "./synthetic_trace.ts";

Deno.test("every view answers the same in a native DuckDB", async () => {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-native-" });
  try {
    const trace = `${folder}/a.trace`;
    await Deno.mkdir(trace);
    synthesize(new DirectoryStore(trace), { exits: 4000, vcpus: 3, functions: 60 });
    const statements = [...loadViews().values()].map((v) =>
      `FROM ${v.signature.replace("bucket", "1000000")} ORDER BY ALL`
    );
    await Deno.writeTextFile(`${folder}/all.sql`, statements.join(";\n"));
    // A process of its own, as users have it: native code and the tests' many databases do not share one.
    const permissions = ["--allow-read", "--allow-write", "--allow-env", "--allow-ffi", "--allow-sys"];
    const query = ["query", "--native", trace, "-f", `${folder}/all.sql`, "--format", "csv"];
    const args = ["run", "--no-prompt", ...permissions, MAIN, ...query];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    const bundle = Bundle.open(trace), session = await Session.open(bundleSource(bundle));
    const expected = statements.flatMap((sql) => [...formatRows(session.query(sql), "csv")]).join("");
    session.close();
    bundle.close();
    assertEquals(new TextDecoder().decode(stdout), expected);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
