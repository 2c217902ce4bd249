import { assert, assertEquals } from "@std/assert";
import { compareResults, describeCase } from "./fidelity/compare.ts";
import { randomFx } from "./fidelity/fpstate.ts";
import { GuestExec } from "./fidelity/guestexec.ts";
import { CODE_OFFSET } from "./fidelity/operand.ts";
import { type TestCase, WINDOW } from "./fidelity/protocol.ts";
import { interesting, Random } from "./fidelity/random.ts";

const SEED = 1309, RUNS = 400;

/** A repeated MOVS or STOS of some size, forward mostly, with what registers make of it. */
function stringCase(seed: number, index: number): TestCase {
  const r = new Random(seed, index), long = r.chance(0.5), size = r.pick(long ? [1, 2, 4, 8] : [1, 2, 4]);
  const prefixes = [0xf3, ...(size === 2 ? [0x66] : []), ...(size === 8 ? [0x48] : [])];
  const opcode = (r.chance(0.7) ? 0xaa : 0xa4) + (size === 1 ? 0 : 1);
  const gpr = new BigUint64Array(16);
  for (let i = 0; i < 16; i++) gpr[i] = long ? interesting(r) : interesting(r) & 0xffff_ffffn;
  // Half of the elements have equal bytes.
  if (r.chance(0.5)) gpr[0] = BigInt(r.below(256)) * (long ? 0x0101_0101_0101_0101n : 0x0101_0101n);
  gpr[1] = BigInt(r.chance(0.8) ? r.below(150) : r.below(1500));
  gpr[4] = BigInt(WINDOW + 0x1f00);
  for (const p of [6, 7]) gpr[p] = BigInt(WINDOW + r.below(0x1e00));
  return {
    mode: long ? 64 : 32,
    code: new Uint8Array([...prefixes, opcode]),
    codeOffset: CODE_OFFSET,
    seed: r.u32(),
    rflags: r.chance(0.1) ? 0x400 : 0,
    gpr,
    fx: randomFx(r, false),
    patches: [],
  };
}

Deno.test("string instructions that move many elements at once do what they do one by one", () => {
  const alone = new GuestExec(), whole = new GuestExec(), sliced = new GuestExec();
  alone.slice = 1;
  sliced.slice = 37;
  let faults = 0, elements = 0;
  for (let index = 0; index < RUNS; index++) {
    const test = stringCase(SEED, index), expected = alone.run(test);
    const say = `case ${index} of seed ${SEED}\n${describeCase(test).join("\n")}`;
    const made = { test, undefinedFlags: 0, transcendental: false, mmx: false };
    for (const exec of [whole, sliced]) {
      const actual = exec.run(test);
      const all = compareResults(made as Parameters<typeof compareResults>[0], expected, actual, null);
      assertEquals(all, [], say);
      assertEquals(exec.instructions, alone.instructions, say);
    }
    if (expected.vector === 14) faults++;
    elements += alone.instructions;
  }
  assert(
    faults > RUNS / 100 && faults < RUNS / 2 && elements > RUNS * 50,
    `${faults} faults, ${elements} elements`,
  );
});
