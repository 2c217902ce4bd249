import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { guestPath } from "./manifest.ts";
import { retrovisor } from "./recording.ts";

const linux = guestPath("linux-cloud");

/** Counts of a recording as SQL gives them, by subject and name. */
async function counts(trace: string): Promise<Map<string, number>> {
  const sql = "SELECT subject || ' ' || name AS name, count AS n FROM exit_counts WHERE subject <> 'port'";
  const r = await retrovisor("query", trace, sql, "--format", "json");
  assertEquals(r.code, 0, r.err);
  return new Map((JSON.parse(r.out) as { name: string; n: number }[]).map((c) => [c.name, c.n]));
}

Deno.test({
  name: "check passes on Linux booted again, and fails exactly on a command line that adds exits",
  ignore: linux === null,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const record = async (name: string, more: string) => {
        const cmdline = `cmdline=console=hvc0 nokaslr cryptomgr.notests=1${more}`;
        const run = ["run", `kernel=${linux}`, "memory=128", cmdline, "--max-instructions", "85M"];
        await retrovisor(...run, "--epoch", "1000000000", "--output", `${folder}/${name}.trace`);
        return `${folder}/${name}.trace`;
      };
      const first = await record("first", ""), again = await record("again", "");
      const patched = await record("patched", " earlyprintk=xen");
      const base = ["--baseline", `${folder}/base.json`];
      assertEquals((await retrovisor("check", first, ...base, "--write-baseline")).code, 0);
      const holds = await retrovisor("check", again, ...base);
      assertEquals([holds.code, holds.err], [0, ""]);

      const fails = await retrovisor("check", patched, ...base, "--junit", `${folder}/check.xml`, "--github");
      assertEquals(fails.code, 1);
      assertStringIncludes(fails.err, `cmdline was "console=hvc0 nokaslr cryptomgr.notests=1", is `);
      // Every count that differs in SQL is a failure with both numbers, and nothing else is.
      const before = await counts(first), now = await counts(patched);
      const names = [...new Set([...before.keys(), ...now.keys()])];
      const changed = names.filter((n) => (before.get(n) ?? 0) !== (now.get(n) ?? 0));
      const expected = changed.map((n) => `${n}: ${before.get(n) ?? 0} -> ${now.get(n) ?? 0}`);
      const xml = (await Deno.readTextFile(`${folder}/check.xml`)).replaceAll("&gt;", ">");
      const failures = [...xml.matchAll(/<failure message="(.+?: [\d,]+ -> [\d,]+) \(/g)].map((m) =>
        m[1].replace(/(\d),(?=\d{3})/g, "$1")
      );
      assertEquals(failures.sort(), expected.sort());
      assert(changed.includes("hypercall console_io write"), expected.join("\n"));
      assert((now.get("reason VMEXIT_VMMCALL") ?? 0) > (before.get("reason VMEXIT_VMMCALL") ?? 0));
      assertStringIncludes(fails.out, "console_io write");
      assertStringIncludes(fails.out, "::error title=retrovisor check::");

      // A budget that allows exactly as much as there is passes, and one less does not.
      const largest = Math.max(...changed.map((n) => Math.abs((now.get(n) ?? 0) - (before.get(n) ?? 0))));
      for (const [delta, code] of [[largest, 0], [largest - 1, 1]]) {
        const budgets = ["reason", "hypercall", "function"].map((s) => `[${s}."*"]\ndelta = ${delta}\n`);
        await Deno.writeTextFile(`${folder}/budgets.toml`, budgets.join(""));
        const r = await retrovisor("check", patched, ...base, "--budgets", `${folder}/budgets.toml`);
        assertEquals(r.code, code, r.out + r.err);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
