import { assert, assertEquals } from "@std/assert";
import { SEQUENCES } from "../core/cpu/decode/sequences.ts";
import { allForms } from "../core/cpu/decode/forms.ts";
import type { Form } from "../core/cpu/form.ts";
import { formKey } from "../core/cpu/form.ts";
import { spellings, wordOf } from "../core/cpu/fuse.ts";
import { REC } from "../core/cpu/insn.ts";
import { compareResults, describeCase } from "./fidelity/compare.ts";
import { GuestExec } from "./fidelity/guestexec.ts";
import { DID_NOT_END, type TestCase } from "./fidelity/protocol.ts";
import { loopCase, sequenceCase } from "./fused_programs.ts";

const SEED = 4711, RUNS = 4;
const lines = SEQUENCES.trim().split("\n").flatMap(spellings);

type Made = Parameters<typeof compareResults>[0];

function describeLoop(index: number, words: readonly string[], test: TestCase): () => string {
  return () =>
    `case ${index} of seed ${SEED}: a loop of ${words.join(" ")}\n${describeCase(test).join("\n")}`;
}

/** Modes (64-bit or not) in which every word of a sequence names a form. */
function modesOf(words: readonly string[], known: readonly ReadonlySet<string | null>[]): boolean[] {
  return [false, true].filter((long) => words.every((w) => known[Number(long)].has(w)));
}

const forms = new Map<string, Form>();
for (const f of allForms()) forms.set(formKey(f), f);
const known = [false, true].map((long) => new Set([...forms.values()].map((f) => wordOf(f, long))));

Deno.test("every sequence names instructions there are, and none is named twice", () => {
  for (const words of lines) assert(modesOf(words, known).length > 0, words.join(" "));
  assertEquals(new Set(lines.map((w) => w.join(" "))).size, lines.length);
});

Deno.test("instructions executed by one handler do what they do one by one, faults and counts included", () => {
  const together = new GuestExec(), alone = new GuestExec();
  alone.slice = 1;
  let index = 0, faults = 0, fused = 0, modes = 0;
  for (const words of lines) {
    for (const long of modesOf(words, known)) {
      modes++;
      for (let n = 0; n < RUNS; n++, index++) {
        const test = sequenceCase(SEED, index, words, long);
        const expected = alone.run(test), actual = together.run(test);
        const made = { test, undefinedFlags: 0, transcendental: false, mmx: false };
        const differences = compareResults(
          made as Made,
          expected,
          actual,
          null,
        );
        if (alone.instructions !== together.instructions) {
          differences.push(`instructions: ${alone.instructions} alone, ${together.instructions} together`);
        }
        const say = () =>
          `case ${index} of seed ${SEED}: ${words.join(" ")}\n${describeCase(test).join("\n")}`;
        assertEquals(differences, [], say());
        if (expected.vector !== 3) faults++;
        if (n === 0 && together.firstHandler(REC.HANDLER) !== together.firstHandler(REC.FORM)) fused++;
      }
    }
  }
  assert(faults > index / 50 && faults < index / 2, `${faults} faults in ${index} runs`);
  assertEquals(fused, modes, "every sequence has a handler of its own");
});

Deno.test("loops executed by one handler do what their instructions do one by one, wherever they are interrupted", () => {
  const alone = new GuestExec(), whole = new GuestExec(), sliced = new GuestExec();
  alone.slice = 1;
  sliced.slice = 7;
  for (const exec of [alone, whole, sliced]) exec.limit = 300;
  const tally = { runs: 0, loops: 0, rounds: 0, faults: 0, endless: 0 };
  for (const words of lines.filter((w) => w.at(-1)!.startsWith("jcc"))) {
    for (const long of modesOf(words, known)) {
      for (let n = 0; n < RUNS * 2; n++) {
        const index = tally.runs++, test = loopCase(SEED, index, words, long);
        const expected = alone.run(test), say = describeLoop(index, words, test);
        const made = { test, undefinedFlags: 0, transcendental: false, mmx: false };
        for (const exec of [whole, sliced]) {
          const actual = exec.run(test);
          const differences = compareResults(made as Made, expected, actual, null);
          assertEquals(differences, [], say());
          assertEquals(exec.instructions, alone.instructions, say());
        }
        if (whole.firstHandler(REC.HANDLER) !== whole.firstHandler(REC.FORM)) tally.loops++;
        tally.rounds += Math.floor(alone.instructions / words.length);
        if (expected.vector === DID_NOT_END) tally.endless++;
        else if (expected.vector !== 3) tally.faults++;
      }
    }
  }
  const said = JSON.stringify(tally);
  assert(tally.faults > tally.runs / 50 && tally.faults < tally.runs / 2, said);
  assert(
    tally.endless < tally.runs / 2 && tally.rounds > tally.runs * 5 && tally.loops > tally.runs / 2,
    said,
  );
});
