import { assert, assertEquals } from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";

Deno.test("std shims parse arguments when given flags and positionals", () => {
  const a = parseArgs(["x", "--n", "3", "--verbose"], { boolean: ["verbose"] });
  assert(a.verbose);
  assertEquals(a._, ["x"]);
  assertEquals(a.n, 3);
});
