import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runIn } from "./cli_fixture.ts";

Deno.test("--symbols names what run records, and replaces it for report and query; --sample tells functions apart", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const list = "SELECT name, source FROM symbols ORDER BY start";
    // The demo guest is linked to 1 MiB.
    await Deno.writeTextFile(`${folder}/given.map`, "00100000 T from_run\n");
    await Deno.writeTextFile(`${folder}/other.map`, "00100000 T from_report\n00900000 t behind\n");
    const run = await runIn(
      folder,
      "run -o a.trace --no-console --sample 1000 --symbols given.map".split(" "),
    );
    assertEquals(run.code, 0, run.err);
    const recorded = await runIn(folder, ["query", "a.trace", list, "--format", "csv"]);
    assertEquals(recorded.out, "name,source\nfrom_run,System.map\n");
    const other = await runIn(folder, [
      "query",
      "a.trace",
      list,
      "--symbols",
      "other.map",
      "--format",
      "csv",
    ]);
    assertEquals(other.out, "name,source\nfrom_report,System.map\nbehind,System.map\n");
    const report = await runIn(folder, "report a.trace --symbols other.map".split(" "));
    assertStringIncludes(report.out, "Functions by instructions (PC samples)\n  from_report ");
    for (const [name, why] of [["missing", "no such file"], [".", "is a folder"]]) {
      const { code, err } = await runIn(folder, ["report", "a.trace", "--symbols", name]);
      assertEquals(code, 2);
      assert(err.includes(why) && err.trim().split("\n").length === 1, err);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
