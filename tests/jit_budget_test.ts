import { assert, assertEquals } from "@std/assert";
import { CompileBudget } from "../core/cpu/jit/budget.ts";

/** How often a block fires until it is granted. */
function firings(b: CompileBudget, rec: number, icount = 0): number {
  for (let n = 1; n < 100; n++) if (b.grants(rec, 2000, icount)) return n;
  return Infinity;
}

Deno.test("compile budget grants first blocks at once, later ones only when they keep firing", () => {
  const b = new CompileBudget();
  const needed = Array.from({ length: 200 }, (_, rec) => firings(b, rec));
  assertEquals(needed[0], 1);
  assertEquals(needed, needed.toSorted((x, y) => x - y));
  assertEquals(needed.at(-1), 16);
});

Deno.test("compile budget comes back with instructions, up to a bound", () => {
  const b = new CompileBudget();
  while (firings(b, 1) < 16);
  assertEquals(firings(b, 2, 1e9), 1);
  let granted = 0;
  while (firings(b, 3, 1e9) < 16) granted++;
  assert(granted > 20 && granted < 100, `${granted} granted`);
});

Deno.test("compile budget remembers what waits until it is told to forget, and leaves low thresholds alone", () => {
  const b = new CompileBudget();
  while (firings(b, 1) < 16);
  assertEquals([b.grants(5, 2000, 0), b.waits(5)], [false, true]);
  b.forget();
  assertEquals([b.waits(5), b.grants(5, 20, 0)], [false, true]);
});
