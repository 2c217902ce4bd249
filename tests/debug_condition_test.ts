import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { evaluate, ExpressionError, type Surroundings } from "../replay/gdb/agent_expression.ts";
import { runGdb, whens } from "./debug_client.ts";
import { demoSymbol, open, recordDemo } from "./debug_fixture.ts";
import { hasProgram } from "./programs.ts";
import { seeded } from "./trace_fixture.ts";

const AROUND: Surroundings = {
  register: (n) => n < 4 ? BigInt(n) * 1000n - 1n & 0xffff_ffff_ffff_ffffn : null,
  memory: (address, length) => address < 0x100n ? new Uint8Array(length).fill(Number(address)) : null,
};

const run = (...code: number[]) => BigInt.asIntN(64, evaluate(Uint8Array.from(code), AROUND));

Deno.test("agent expressions compute what gdb's manual says of each operation", () => {
  const two = (op: number, a: number, b: number) => run(0x22, a, 0x16, 8, 0x22, b, 0x16, 8, op, 0x27);
  assertEquals(two(0x02, 0xff, 3), 2n);
  assertEquals(two(0x03, 1, 3), -2n);
  assertEquals(two(0x04, 0xfe, 3), -6n);
  assertEquals([two(0x05, 0xf9, 2), two(0x07, 0xf9, 2)], [-3n, -1n]);
  assertEquals([two(0x06, 9, 2), two(0x08, 9, 4)], [4n, 1n]);
  assertEquals([two(0x09, 1, 10), two(0x0a, 0xf0, 2), two(0x0b, 64, 3)], [1024n, -4n, 8n]);
  assertEquals([two(0x0f, 6, 3), two(0x10, 6, 3), two(0x11, 6, 3)], [2n, 7n, 5n]);
  assertEquals([two(0x13, 6, 6), two(0x14, 0xff, 0), two(0x15, 0xff, 0)], [1n, 1n, 0n]);
  assertEquals([run(0x22, 0, 0x0e, 0x27), run(0x22, 1, 0x12, 0x27), run(0x22, 0xff, 0x2a, 4, 0x27)], [
    1n,
    -2n,
    15n,
  ]);
  assertEquals([run(0x26, 0, 2, 0x27), run(0x22, 5, 0x18, 0x27)], [1999n, 0x0505n]);
  assertEquals(run(0x24, 0x12, 0x34, 0x56, 0x78, 0x27), 0x12345678n);
  // if_goto over a constant; swap, dup, rot and pick.
  assertEquals(run(0x22, 1, 0x20, 0, 7, 0x22, 9, 0x22, 4, 0x27), 4n);
  assertEquals(run(0x22, 7, 0x22, 2, 0x2b, 0x03, 0x27), -5n);
  assertEquals(run(0x22, 7, 0x28, 0x02, 0x27), 14n);
  assertEquals(run(0x22, 7, 0x22, 1, 0x32, 1, 0x03, 0x27), -6n);
});

Deno.test("agent expressions that loop, overflow, divide by zero or are noise end in one error", () => {
  const bad = [[0x21, 0, 0], [0x28], [0x22, 1, 0x21, 0, 0], [0x22, 1, 0x22, 0, 0x05], [0x26, 0, 9], [0x22], [
    0x30,
    1,
  ]];
  for (const code of bad) assertThrows(() => run(...code, 0x27), ExpressionError);
  const seed = 4, random = seeded(seed);
  for (let n = 0; n < 20_000; n++) {
    const code = Uint8Array.from({ length: random(24) }, () => random(3) === 0 ? random(256) : random(0x34));
    try {
      evaluate(code, AROUND);
    } catch (e) {
      if (!(e instanceof ExpressionError)) throw new Error(`seed ${seed}, expression ${n}: ${e}`);
    }
  }
});

Deno.test({
  name: "conditions of breakpoints are evaluated here as gdb would, forwards and backwards",
  ignore: !hasProgram("gdb"),
  fn: async () => {
    const { store } = await recordDemo(), at = `*0x${demoSymbol("collatz_length").toString(16)}`;
    const script = (side: string) => [
      `set breakpoint condition-evaluation ${side}`,
      `break ${at} if $rdi % 7 == 3 && *(unsigned char *)$rsp != 0`,
      "continue",
      "monitor when",
      "continue",
      "monitor when",
      "continue",
      "monitor when",
      "print $rdi",
      "reverse-continue",
      "monitor when",
      "reverse-continue",
      "monitor when",
    ];
    const ours = await runGdb(open(store), script("target"));
    assertEquals(ours.includes("does not support breakpoint condition evaluation"), false, ours);
    const gdbs = await runGdb(open(store), script("host"));
    assertEquals(whens(ours), whens(gdbs));
    const [first, second, third, back, backAgain] = whens(ours);
    assertEquals([back, backAgain], [second, first]);
    assertEquals(third > second && second > first && first > 0, true);
    assertMatch(ours, /^\$1 = \d+$/m);
  },
});
